"""Predict, then reveal: a lecture asks before it tells.

A question has its answer in `<details>`. Either the summary asks it (``<summary>How many bytes?</summary>``), or the
summary begins with "Answer" and the prose since the answer before asks. Other folded text (a derivation, a hint) counts
neither way. A number in bold in an answer is what the question asked for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from tests.notebooks.rules.numbers import Number, known_numbers, numbers_in, prose, shown
from tests.notebooks.rules.text import DETAILS, without_code


@dataclass(frozen=True)
class Question:
    """Where a question is asked, if it is asked at all, and the answer folded under it."""

    cell_id: str
    asked_in: int | None  # the position of the cell
    answer: str


def five_questions(notebook: NotebookNode) -> list[str]:
    """A lecture has at least five questions whose answers are folded."""
    number = sum(question.asked_in is not None for question in questions(notebook))
    return [] if number >= 5 else [f"lecture: {number} questions with a folded answer, not five"]


def no_answer_above_its_question(notebook: NotebookNode) -> list[str]:
    """Each folded answer has its question above it, and its bold numbers are found nowhere above the question."""
    findings = []
    for question in questions(notebook):
        if question.asked_in is None:
            findings.append(f"{question.cell_id}: an answer, and no question above it since the answer before")
            continue
        told = known_numbers(notebook.cells[: question.asked_in], with_prose=True)
        given_away = [number.text for number in _asked_for(question.answer) if shown(number, told)]
        findings += [f"{question.cell_id}: the answer {number} stands above the question" for number in given_away]
    return findings


def questions(notebook: NotebookNode) -> Iterator[Question]:
    """Yield the questions and the answers of a notebook in their order."""
    asked_in: int | None = None
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        end = 0
        for block in DETAILS.finditer(cell.source):
            asked_in = position if _asks(cell.source[end : block.start()]) else asked_in
            end = block.end()
            summary, answer = block.groups()
            if _asks(summary):
                yield Question(cell.id, position, answer)
            elif re.match(r"(<\w+>|[*_\s])*answer", summary, re.I):
                yield Question(cell.id, asked_in, answer)
            else:
                continue
            asked_in = None
        asked_in = position if _asks(cell.source[end:]) else asked_in


def _asks(markdown: str) -> bool:
    return "?" in re.sub(r"https?://\S+", "", without_code(markdown))


def _asked_for(answer: str) -> list[Number]:
    """Return the numbers in bold that tell something: those of three digits and more."""
    bold = " ".join(re.findall(r"(?s)\*\*(.+?)\*\*", answer))
    return [number for number in numbers_in(prose(bold)) if number.digits >= 3]
