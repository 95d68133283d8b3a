"""The outputs of one cell, gathered from messages of a kernel that nobody trusts: plain data, and only so much of it."""

import math
import re
from typing import Any

from nbformat import NotebookNode, from_dict

from effkit.grading.answers import MIME

_DEEPEST = 12  # nesting of data
_SETS_KEPT = 20  # of answers: more than one are kept to show that there were several
_LARGEST_SET = 500_000  # bytes
_LONGEST_ERROR = 20_000  # characters of a traceback
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9.+-]{1,200}")
_CUT = "\n[The rest of this cell's output was left out: it is too long.]\n"


class Outputs:
    """Gathers the outputs of a cell up to a limit; answers to a check always find a place."""

    def __init__(self, room_bytes: int, room_outputs: int) -> None:
        self.used_bytes = 0
        self.cut = False
        self._room_bytes, self._room_outputs = room_bytes, room_outputs
        self._kept: list[NotebookNode] = []
        self._clear_next = False

    def add(self, kind: str, content: Any, size: int) -> None:
        """Take the content of one message of `size` bytes; what is not as Jupyter's messages are is dropped."""
        if kind == "clear_output":
            self._clear(content)
            return
        try:
            output = _output(kind, content)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return
        if output is None:
            return
        if self._clear_next:
            self._clear({})
        if _has_answers(output):
            if size <= _LARGEST_SET and sum(map(_has_answers, self._kept)) < _SETS_KEPT:
                self._kept.append(output)
        elif self.used_bytes + size > self._room_bytes or len(self._kept) >= self._room_outputs:
            self._add_cut(output)
        else:
            self.used_bytes += size
            self._append(output)

    def too_large(self) -> None:
        """Note that a message was so large that it was not even read."""
        self.cut = True

    def _add_cut(self, output: NotebookNode) -> None:
        """Keep the beginning of a text, or an error in short; a picture that does not fit is left out."""
        room = self._room_bytes - self.used_bytes
        if output.output_type == "stream" and not self.cut and room > 0:
            output.text = output.text[:room]
            self._append(output)
        elif output.output_type == "error" and not any(kept.output_type == "error" for kept in self._kept):
            output.traceback = [f"{output.ename}: {output.evalue}"]
            self._kept.append(output)
        self.used_bytes = max(self.used_bytes, self._room_bytes)
        self.cut = True

    def _append(self, output: NotebookNode) -> None:
        last = self._kept[-1] if self._kept else None
        if last and last.output_type == "stream" == output.output_type and last.name == output.name:
            last.text += output.text
        else:
            self._kept.append(output)

    def _clear(self, content: Any) -> None:
        """Remove what was shown so far, but never answers."""
        self._clear_next = isinstance(content, dict) and content.get("wait") is True
        if not self._clear_next:
            self._kept = [output for output in self._kept if _has_answers(output)]

    def has_error(self) -> bool:
        """Return whether the cell showed an error."""
        return any(output.output_type == "error" for output in self._kept)

    def finished(self) -> list[NotebookNode]:
        """Return the outputs for the notebook."""
        return [*self._kept, NotebookNode(output_type="stream", name="stdout", text=_CUT)] if self.cut else self._kept


def error(name: str, value: str) -> NotebookNode:
    """Return an error output that says something of the grader's."""
    return NotebookNode(output_type="error", ename=name, evalue=value, traceback=[f"{name}: {value}"])


def _has_answers(output: NotebookNode) -> bool:
    return MIME in output.get("data", {})


def _output(kind: str, content: dict[str, Any]) -> NotebookNode | None:
    """Return a message's content as a valid output of a notebook; None if it is none."""
    if kind == "stream":
        name = "stderr" if content["name"] == "stderr" else "stdout"
        return NotebookNode(output_type="stream", name=name, text=text(content["text"]))
    if kind == "error":
        lines = [text(line) for line in content["traceback"]]
        long = sum(map(len, lines)) > _LONGEST_ERROR
        name, value = text(content["ename"])[:200], text(content["evalue"])[:2000]
        short = [f"{name}: {value}"]
        return NotebookNode(output_type="error", ename=name, evalue=value, traceback=short if long else lines)
    if kind not in ("display_data", "execute_result"):
        return None
    data = {form: value for form, value in _mapping(content["data"]).items() if _is_shown(form, value)}
    if not data:
        return None
    shown = NotebookNode(output_type=kind, data=from_dict(data), metadata=from_dict(_mapping(content.get("metadata") or {})))
    if kind == "execute_result":
        number = content.get("execution_count")
        shown.execution_count = number if type(number) is int and 0 <= number < 10**6 else None
    return shown


def _is_shown(form: str, value: Any) -> bool:
    """Return whether a notebook may hold `value` as data of this media type: text, and JSON where the type says so."""
    return bool(_MEDIA_TYPE.fullmatch(form)) and (form.endswith(("/json", "+json")) or isinstance(value, str))


def _mapping(value: Any) -> dict[str, Any]:
    plain = _plain(value, 0)
    if not isinstance(plain, dict):
        raise ValueError("not a mapping")
    return plain


def _plain(value: Any, depth: int) -> Any:
    """Return JSON data such that any program can write and read it again."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_plain(part, depth + 1) for part in value]
    if isinstance(value, dict):
        return {text(key): _plain(part, depth + 1) for key, part in value.items()}
    return value


def text(value: Any) -> str:
    """Return a text that can be written to a file."""
    if not isinstance(value, str):
        raise ValueError("text was expected")
    return value.encode("utf-8", "backslashreplace").decode()
