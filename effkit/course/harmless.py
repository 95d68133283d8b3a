"""Takes out of a graded notebook all that could run in the browser of whoever opens it; text and pictures stay.

A grader and a student read a graded notebook as a web page, and that page must hold no script of a student's: no HTML, SVG
or script output, no HTML in Markdown, no address but a plain link, and no picture from elsewhere, which would tell somebody
that the page was opened, and by whom. In Markdown a zero-width space is put where a tag, an
entity or an address would begin: it can be read as before, also in code, and no browser takes it for more than text.
"""

import base64
import binascii
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum

from effkit.grading.answers import one_line
from effkit.grading.tasks import find

_GAP = "\u200b"
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=[#A-Za-z])")
# Browsers drop blanks inside an address and Markdown drops a backslash: what is left before the colon is the scheme.
_SCHEME = re.compile(r"(?<=[A-Za-z0-9+.])([\\\x00-\x20]*):")
_PLAIN_LINK = re.compile(r"(?:^|[^A-Za-z0-9+.\-])(https?|mailto|attachment)$", re.IGNORECASE)
_ATTACHED = re.compile(r"[\w.-]+(?=[)\s])", re.ASCII)
_ACTIVE_MATH = re.compile(r"\\(?=(?:href|style|class|cssId|require|unicode)(?![A-Za-z]))")
_IMAGE_ELSEWHERE = re.compile(r"!(?=\[)(?!\[[^\[\]]*\]\(attachment:)")
_DIAGRAM = re.compile(r"([`~]{3,}\s*)(?=mermaid)", re.IGNORECASE)
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_NO_ALT = "No description has been provided for this image"  # as nbconvert says it
_SHOWN = re.compile(
    r"\s*<img (?=[^<>]*src=(?P<q>['\"])data:(?P<kind>image/(?:png|jpeg));base64,(?P<data>[A-Za-z0-9+/=\s]+)(?P=q))[^<>]*>\s*"
)
_ALT = re.compile(r"\balt=(['\"])(?P<alt>[^'\"<>]*)\1")


class RemoveActiveContent(NbGraderPreprocessor):
    """The last step before scores are saved: nothing active is left in the graded notebook."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Clean the notebook. The Markdown of the lab itself is kept as the teacher wrote it."""
        coursedir = CourseDirectory(config=self.config)
        lab = resources["nbgrader"]["assignment"]
        folder = Path(coursedir.format_path(coursedir.source_directory, ".", lab))
        make_harmless(nb, released_texts(folder / f"{resources['nbgrader']['notebook']}.ipynb"))
        return nb, resources


def released_texts(path: Path) -> frozenset[str]:
    """Return the sources of a lab's Markdown cells, which need no cleaning; none if the lab cannot be read."""
    try:
        return _texts(path, path.stat().st_mtime_ns)
    except OSError:
        return frozenset()


@cache
def _texts(path: Path, changed: int) -> frozenset[str]:
    return frozenset(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")


def make_harmless(notebook: NotebookNode, texts: Collection[str] = ()) -> None:
    """Remove or disarm everything active in a graded notebook, in place. `texts` are Markdown sources to leave alone."""
    kept = {key: notebook.metadata[key] for key in ("kernelspec", "effkit") if key in notebook.metadata}
    notebook.metadata = NotebookNode(kept, language_info=NotebookNode(name="python"))
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells):
        own = cell.metadata.get("nbgrader")
        cell.metadata = NotebookNode({} if own is None else {"nbgrader": own})
        if not _CELL_ID.fullmatch(str(cell.get("id", ""))) or cell.id in seen:
            cell["id"] = f"cell-{number}"
        seen.add(cell.id)
        if cell.cell_type == "code":
            cell.execution_count = cell.execution_count if type(cell.get("execution_count")) is int else None
            if not _is_judged(cell):
                cell.outputs = [harmless for output in cell.outputs if (harmless := _harmless_output(output))]
        elif cell.source not in texts and not _is_as_released(cell):
            _keep_pictures(cell)
            cell.source = disarm(cell.source, cell.get("attachments", {}))


def _is_judged(cell: NotebookNode) -> bool:
    """Whether the outputs of this cell were written by the judge."""
    own = cell.metadata.get("nbgrader", {})
    return bool(own.get("grade")) and not own.get("solution") and find(str(own.get("grade_id"))) is not None


def _is_as_released(cell: NotebookNode) -> bool:
    own = cell.metadata.get("nbgrader", {})
    return bool(own.get("checksum")) and own["checksum"] == compute_checksum(cell)


def disarm(text: str, attachments: Collection[str] = ()) -> str:
    """Return Markdown that reads as before and in which no tag, entity, script address or active formula is left.

    A reference to an attachment is left only where there is one of that name: any other stops nbconvert.
    """
    text = _ENTITY.sub(f"&{_GAP}", _TAG.sub(f"<{_GAP}", text))
    text = _IMAGE_ELSEWHERE.sub(f"!{_GAP}", text)
    text = _DIAGRAM.sub(rf"\1{_GAP}", _ACTIVE_MATH.sub(rf"\\{_GAP}", text))
    return _SCHEME.sub(lambda found: _colon(text, found, attachments), text)


def _colon(text: str, found: re.Match[str], attachments: Collection[str]) -> str:
    plain = None if found[1] else _PLAIN_LINK.search(text[max(0, found.start() - 12) : found.start()])
    if plain and plain[1].lower() == "attachment":
        name = _ATTACHED.match(text, found.end())
        plain = plain if name and name[0] in attachments else None
    return found[0] if plain else f"{found[1]}{_GAP}:"


def _keep_pictures(cell: NotebookNode) -> None:
    """Keep of a cell's attachments only what is a picture."""
    attachments = cell.pop("attachments", {})
    kept: dict[str, Any] = {}
    for name, bundle in attachments.items() if isinstance(attachments, dict) else ():
        pictures = _pictures(bundle) if isinstance(bundle, dict) else {}
        if pictures:
            kept[one_line(str(name))] = pictures
    if kept:
        cell["attachments"] = NotebookNode(kept)


def _pictures(bundle: dict[str, Any]) -> dict[str, str]:
    return {kind: data for kind in _PICTURES if (data := _picture(kind, bundle.get(kind)))}


def _picture(kind: str, data: Any) -> str:
    """Return the base64 text of a picture, or an empty string if it is none."""
    if not isinstance(data, str):
        return ""
    compact = "".join(data.split())
    try:
        raw = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return compact if raw.startswith(_PICTURES[kind]) else ""


def _harmless_output(output: NotebookNode) -> NotebookNode | None:
    """Return an output with its text and pictures only."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return new_output("stream", name=name, text=str(output.get("text", "")))
    if kind == "error":
        lines = [str(line) for line in output.get("traceback", [])]
        return new_output("error", ename=str(output.ename), evalue=str(output.evalue), traceback=lines)
    if kind not in ("display_data", "execute_result"):
        return None
    bundle = output.get("data", {})
    data: dict[str, str] = _pictures(bundle)
    alt = ""
    if not data and isinstance(html := bundle.get("text/html"), str) and (shown := _SHOWN.fullmatch(html)):
        data = _pictures({shown["kind"]: shown["data"]})  # as effkit.show writes it
        alt = found["alt"] if (found := _ALT.search(html)) else ""
    if isinstance(text := bundle.get("text/plain"), str):
        data["text/plain"] = text
    if not data:
        left_out = ", ".join(sorted(one_line(str(key))[:60] for key in bundle)[:5])
        data["text/plain"] = f"(left out, since it could hold a script: {left_out or 'an empty output'})"
    metadata = {kind: {"alt": alt or _NO_ALT} for kind in data if kind in _PICTURES}
    own = {"execution_count": output.get("execution_count")} if kind == "execute_result" else {}
    return new_output(kind, data=data, metadata=metadata, **own)
