"""The rules that notebooks keep to. Each takes a notebook and returns what breaks it, "CELL: WHAT" a line, or nothing."""

from collections.abc import Callable
from typing import TypeAlias

from nbformat import NotebookNode

from tests.notebooks.rules.code import known_imports, no_pyplot, shapes_in_comments, short_code_cells
from tests.notebooks.rules.numbers import numbers_are_computed
from tests.notebooks.rules.outputs import as_a_build_leaves_them, described_images, no_machine_in_outputs
from tests.notebooks.rules.questions import five_questions, no_answer_above_its_question
from tests.notebooks.rules.text import dollar_math, folded_text, links, plain_headings

Rule: TypeAlias = Callable[[NotebookNode], list[str]]

FOR_ALL: list[Rule] = [
    described_images,
    dollar_math,
    folded_text,
    known_imports,
    links,
    no_pyplot,
    plain_headings,
    short_code_cells,
]
FOR_LECTURES: list[Rule] = [
    *FOR_ALL,
    as_a_build_leaves_them,
    five_questions,
    no_answer_above_its_question,
    no_machine_in_outputs,
    numbers_are_computed,
    shapes_in_comments,
]
