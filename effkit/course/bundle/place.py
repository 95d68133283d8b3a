"""Puts a finished bundle where it belongs, as a folder and as a zip. There is an old one or a new one, never half of one."""

import io
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from effkit.course.bundle.wheel import MADE_AT
from effkit.course.errors import CourseError

_TOP_LEVEL = {"labs", "lectures", "environment.yml", "requirements.txt", "README.md", "LICENSE", "LICENSE-notebooks"}


def zipped(files: Mapping[str, bytes], top: str) -> bytes:
    """Return a zip of files below one folder: sorted, and with the same time and rights everywhere."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(files.items()):
            member = zipfile.ZipInfo(f"{top}/{path}", time.gmtime(MADE_AT)[:6])
            member.create_system = 3  # Unix, wherever it is made: else the rights mean nothing
            member.external_attr = 0o100644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def check_free(target: Path) -> None:
    """Raise CourseError if something other than an earlier bundle would be replaced."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise CourseError(f"{target} is not a folder: choose another --output")
    there = {path.name for path in target.iterdir()} if target.exists() else set()
    wheels = {name for name in there if name.startswith("effkit-") and name.endswith(".whl")}
    if there and not (wheels and there - wheels <= _TOP_LEVEL):
        raise CourseError(
            f"{target} holds something other than a bundle: choose another --output, or empty that folder first"
        )
    archive = zip_beside(target)
    if archive.exists() and not there:
        raise CourseError(f"{archive} is in the way, and there is no bundle beside it: move it away")


def zip_beside(target: Path) -> Path:
    """Return the path of the zip of a bundle."""
    return target.with_name(f"{target.name}.zip")


def put(files: Mapping[str, bytes], target: Path, top: str) -> None:
    """Write the bundle: whole and aside first, then by renaming. An earlier bundle stays until then."""
    check_free(target)
    with _aside(target.parent) as aside:
        for path, content in files.items():
            (aside / "new" / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / "new" / path).write_bytes(content)
        (aside / "zip").write_bytes(zipped(files, top))
        if target.exists():
            target.rename(aside / "old")
        try:
            (aside / "new").rename(target)
        except BaseException:
            if (aside / "old").exists():
                (aside / "old").rename(target)
            raise
        os.replace(aside / "zip", zip_beside(target))


@contextmanager
def _aside(parent: Path) -> Iterator[Path]:
    """Give a folder on the same disk, so that renaming is all at once."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".effkit-release-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
