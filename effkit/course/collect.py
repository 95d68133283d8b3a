"""Puts what an LMS gave into ``submitted/STUDENT/LAB/``: the latest attempt of everyone, and never an older over a newer."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from effkit.course import roster as rosters
from effkit.course.archive import members
from effkit.course.doctor import belongs, look
from effkit.course.errors import CourseError
from effkit.course.lab import ReleasedLab, read_lab
from effkit.course.sort_files import Attempt, Notice, latest, piles

_NEW, _REPLACED, _UNCHANGED = "new", "replaced by a later attempt", "unchanged"


@dataclass
class Collected:
    """What a run did: how many submissions of each outcome, what a person should know, who has handed in nothing."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((_NEW, _REPLACED, _UNCHANGED), 0))
    notices: list[Notice] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    new_students: int = 0


def collect(
    root: Path,
    lab: str,
    sources: Iterable[Path],
    roster: Path | None = None,
    *,
    dry_run: bool = False,
    say: Callable[[Notice], None] = lambda notice: None,
) -> Collected:
    """Collect a lab's submissions from zips, folders and files. Safe to run again, also after it was interrupted.

    Raises CourseError if there is no such lab, a source does not exist, or the roster is none.
    """
    released = read_lab(root, lab)
    sources = list(sources)
    for source in sources:
        if not source.exists():
            raise CourseError(f"there is no {source}")
    result = Collected()

    def tell(kind: str, text: str) -> None:
        result.notices.append(Notice(kind, text))
        say(result.notices[-1])

    people, left_out = rosters.read_roster(roster) if roster else ([], [])
    for sentence in left_out:
        tell("ROSTER", sentence)
    everybody = rosters.merged(rosters.recorded(root), people)
    if people and not dry_run:
        result.new_students = rosters.record(root, people)
    submitted = root / "submitted"
    store = _Store(submitted, lab, dry_run)
    sorted_piles, notices = piles((one for source in sources for one in members(source)), lab, everybody)
    for notice in notices:
        tell(notice.kind, notice.text)
    for pile in sorted_piles:
        if everybody.people and pile.person is None:
            tell(
                "NOT ON THE ROSTER",
                f"{pile.student}: collected all the same; check the id, or add the student to the roster",
            )
        if any(file.named.late for file in pile.files):
            tell("LATE", f"{pile.student}: Canvas marks it as late")
        attempt, notices = latest(pile, lab)
        for notice in notices:
            tell(notice.kind, notice.text)
        if attempt is None:
            tell("NOTHING READABLE", f"{pile.student}: ask for the notebook again")
            continue
        outcome, sentence = store.put(_named_right(attempt, released, store.scratch))
        if sentence:
            tell("KEPT" if outcome == _UNCHANGED else "REFUSED", f"{pile.student}: {sentence}")
        if outcome:
            result.counts[outcome] += 1
    store.close()
    handed_in = {pile.student for pile in sorted_piles} | {path.parent.name for path in submitted.glob(f"*/{lab}")}
    result.without = sorted(set(everybody.people) - handed_in)
    return result


def _named_right(attempt: Attempt, lab: ReleasedLab, scratch: Path) -> Attempt:
    """Give the attempt's one notebook of this lab the name that grading looks for; where it is not clear, keep the names."""
    ours, unreadable = [], []
    for name, content in attempt.contents.items():
        if not name.lower().endswith((".ipynb", ".txt", ".json")):
            continue
        file = scratch / "look.ipynb"
        file.write_bytes(content)
        looked = look(file, lab)
        file.unlink()
        if looked.notebook is None:
            unreadable.append(name)
        elif belongs(looked, lab):
            ours.append(name)
    notebooks = [name for name in unreadable if ".ipynb" in name.lower()]
    chosen = ours or (notebooks if len(attempt.contents) == 1 else [])
    if len(chosen) != 1:
        return attempt
    return replace(attempt, contents={f"{lab.name}.ipynb": attempt.contents[chosen[0]]})


class _Store:
    """The folder submitted/, and a record of which attempt of whom lies there."""

    def __init__(self, submitted: Path, lab: str, dry_run: bool) -> None:
        import tempfile

        self._submitted, self._lab, self._dry_run = submitted, lab, dry_run
        self._path = submitted / ".collected" / f"{lab}.json"
        self._records: dict[str, Any] = self._read()
        if not dry_run:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = tempfile.TemporaryDirectory(dir=None if dry_run else self._path.parent)
        self.scratch = Path(self._temporary.name)

    def close(self) -> None:
        """Remove what is temporary."""
        self._temporary.cleanup()

    def put(self, attempt: Attempt) -> tuple[str, str]:
        """Put an attempt in its place unless a later one is there. Return the outcome, and a sentence if there is need."""
        target = self._submitted / attempt.student / self._lab
        record = {"age": list(attempt.age), "digest": _digest(attempt.contents)}
        before = self._records.get(attempt.student)
        if target.is_symlink() or target.parent.is_symlink() or (target.exists() and not target.is_dir()):
            return "", f"submitted/{attempt.student}/{self._lab} is a link or a file: move it away and collect again"
        if not target.exists():
            self._place(attempt, target, record)
            return _NEW, ""
        if before and before["digest"] == record["digest"]:
            return _UNCHANGED, ""
        if before is None:
            if _digest(_contents(target)) == record["digest"]:
                self._remember(attempt.student, record)
                return _UNCHANGED, ""
            if attempt.time is None or (there := _timestamp(target)) is None or attempt.time <= there:
                return _UNCHANGED, "another notebook lies there that was not collected: move it away to have this one"
        elif record["age"] < before["age"]:
            return _UNCHANGED, "this is an older attempt than the one that is there"
        self._place(attempt, target, record)
        return _REPLACED, ""

    def _place(self, attempt: Attempt, target: Path, record: dict[str, Any]) -> None:
        """Put a whole new folder in the place of the old one. Interrupted, it leaves nothing that looks collected."""
        if self._dry_run:
            return
        new, old = self.scratch / "new", self.scratch / "old"
        new.mkdir()
        for name, content in attempt.contents.items():
            (new / name).write_bytes(content)
        if attempt.time:
            (new / "timestamp.txt").write_text(attempt.time.strftime("%Y-%m-%d %H:%M:%S.%f UTC\n"), encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        self._remember(attempt.student, record)

    def _remember(self, student: str, record: dict[str, Any]) -> None:
        self._records[student] = record
        if self._dry_run:
            return
        whole = self._path.with_suffix(".new")
        whole.write_text(json.dumps(self._records, indent=1), encoding="utf-8")
        whole.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            records = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as problem:
            raise CourseError(
                f"{self._path} cannot be read ({problem}): delete it, and what lies in submitted/ is kept"
            ) from None
        return records if isinstance(records, dict) else {}


def _digest(contents: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _contents(folder: Path) -> dict[str, bytes]:
    plain = (path for path in folder.iterdir() if path.name != "timestamp.txt" and path.is_file() and not path.is_symlink())
    return {path.name: path.read_bytes() for path in plain}


def _timestamp(folder: Path) -> datetime | None:
    from nbgrader.utils import parse_utc

    try:
        found: datetime = parse_utc((folder / "timestamp.txt").read_text(encoding="utf-8").strip())
    except Exception:  # noqa: BLE001  the parser of dates raises much more than it says
        return None
    return found
