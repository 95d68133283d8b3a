"""Each rule finds what it is there for and lets pass what is right."""

import nbformat
import pytest
from nbformat import NotebookNode

from tests.notebooks.rules import Rule
from tests.notebooks.rules.code import known_imports, no_pyplot, shapes_in_comments, short_code_cells
from tests.notebooks.rules.numbers import numbers_are_computed
from tests.notebooks.rules.outputs import as_a_build_leaves_them, described_images, no_machine_in_outputs
from tests.notebooks.rules.questions import five_questions, no_answer_above_its_question
from tests.notebooks.rules.text import dollar_math, folded_text, links, plain_headings


def markdown(*sources: str) -> NotebookNode:
    return notebook(*(nbformat.v4.new_markdown_cell(source) for source in sources))


def code(source: str = "", *, tags: tuple[str, ...] = (), **data: str) -> NotebookNode:
    """Return a code cell; `data` are its output by kind, with "_" for "/"."""
    bundle = {kind.replace("_", "/"): content for kind, content in data.items()}
    outputs = [nbformat.v4.new_output("display_data", bundle)] if data else []
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)} if tags else {})


def notebook(*cells: NotebookNode) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=list(cells))


def folded(text: str, summary: str = "Answer") -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


RIGHT = [
    (plain_headings, markdown("## 2. Intensity: $I = F / B$\n\nStars ★★☆ may stand in the text.")),
    (dollar_math, markdown("It is $x^2$, or $$\\begin{aligned} a &= b \\\\ [c] &= d \\end{aligned}$$ for \\$5, `$HOME`.")),
    (links, markdown("[paper](https://example.org/a), [above](#a), [lab](../labs/lab2_parameters/lab2_parameters.ipynb)")),
    (folded_text, markdown(folded("one", "Hint 1") + "\n\n" + folded("two", "Hint 2"))),
    (short_code_cells, notebook(code("x = 1\n" * 14))),
    (no_pyplot, notebook(code("from matplotlib.figure import Figure\nresult = 1"))),
    (known_imports, notebook(code("import math, torch, numpy as np\nimport effkit\nfrom effkit.grading import check\n!ls"))),
    (known_imports, notebook(code('import sys\n\nif "google.colab" in sys.modules:\n    %pip install effkit'))),
    (
        shapes_in_comments,
        notebook(code("x = torch.randn(2, 3)  # (2, 3)\ny = x @ w  # [B, C_out]\ns = torch.tensor(1)  # ()")),
    ),
    (shapes_in_comments, notebook(code("x = torch.cat([\n    a,\n    b,\n])  # (N, 2 * C)\nlayer = torch.nn.Linear(2, 3)"))),
    (described_images, notebook(code(text_html='<img alt="Two bars" src="data:">'))),
    (as_a_build_leaves_them, notebook(code(text_plain="1"), code(tags=("live",)))),
    (
        no_machine_in_outputs,
        notebook(code(text_plain="10 GB/s, home/work", text_html="<img src='data:image/png;a/home/b/c'>")),
    ),
    (five_questions, markdown(*(f"How many?\n\n{folded('Some.')}" for _ in range(4)), folded("No.", "Is it more?"))),
    (no_answer_above_its_question, markdown("Is it 156?\n\n" + folded("No, **153**."), "It is 153.")),
    (no_answer_above_its_question, notebook(code("156"), *markdown("Is it 156?", folded("No, **153**.")).cells)),
]

WRONG = [
    (plain_headings, markdown("## \N{ROCKET} Intensity")),
    (plain_headings, markdown("### Go \N{WHITE HEAVY CHECK MARK}")),
    (dollar_math, markdown("It is \\(x^2\\).")),
    (dollar_math, markdown("So\n\n\\[ x \\]")),
    (dollar_math, markdown("\\begin{equation} x \\end{equation}")),
    (dollar_math, markdown("It is $x^2.")),
    (links, markdown("[paper](http://example.org)")),
    (links, markdown("See http://example.org.")),
    (links, markdown("[lab](../labs/lab9_nothing.ipynb)")),
    (links, markdown("![A roof](roof.png)")),
    (links, markdown("![A lab](../labs/lab2_parameters/lab2_parameters.ipynb)")),
    (links, markdown('<a href="http://example.org">paper</a>')),
    (folded_text, markdown("<details><summary>Answer</summary>\nIt is *that*.\n\n</details>")),
    (folded_text, markdown("<details><summary>Answer</summary>\n\nIt is *that*.\n</details>")),
    (folded_text, markdown("<details>\n\nIt is that.\n\n</details>")),
    (folded_text, markdown("<details><summary> </summary>\n\nIt is that.\n\n</details>")),
    (folded_text, markdown("<details><summary>Answer</summary>\n\nIt is that.")),
    (folded_text, markdown("It is that.\n\n</details>")),
    (folded_text, markdown("<details open><summary>Answer</summary>\n\nIt is that.\n\n</details>")),
    (short_code_cells, notebook(code("x = 1\n" * 15))),
    (no_pyplot, notebook(code("import matplotlib.pyplot as p"))),
    (no_pyplot, notebook(code("plt.show()"))),
    (no_pyplot, notebook(code("%matplotlib inline"))),
    (known_imports, notebook(code("import pandas"))),
    (known_imports, notebook(code("import effkit.course.source"))),
    (known_imports, notebook(code("from effkit.grading.judge import judge"))),
    (known_imports, notebook(code("from effkit.grading import Task"))),
    (known_imports, notebook(code("def f():\n    from transformers import GPT2Model"))),
    (shapes_in_comments, notebook(code("x = torch.randn(2, 3)"))),
    (shapes_in_comments, notebook(code("x = torch.randn(2, 3)  # random"))),
    (shapes_in_comments, notebook(code("y = x @ w"))),
    (shapes_in_comments, notebook(code("y = x.reshape(2, -1)  # flat"))),
    (shapes_in_comments, notebook(code("for _ in range(2):\n    x = np.zeros(3)\n    y = 1  # (2, 3)"))),
    (shapes_in_comments, notebook(code("for x in torch.zeros(3):\n    y = 1  # (2, 3)"))),
    (described_images, notebook(code(image_png="aGk="))),
    (described_images, notebook(code(text_html='<img src="data:">'))),
    (described_images, notebook(code(text_html='<img alt=" " src="data:">'))),
    (described_images, notebook(code(text_html='<img src="data:" alt="roof.png">'))),
    (described_images, notebook(code(text_html="<svg></svg>"))),
    (described_images, markdown("![](https://example.org/a.png)")),
    (as_a_build_leaves_them, notebook(code(tags=("live",), text_plain="1"))),
    (as_a_build_leaves_them, notebook(nbformat.v4.new_code_cell(execution_count=1))),
    (as_a_build_leaves_them, notebook(nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("error")]))),
    (as_a_build_leaves_them, notebook(nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", name="stderr")]))),
    (as_a_build_leaves_them, notebook(code(**{"application/vnd.jupyter.widget-view+json": "{}"}))),
    (as_a_build_leaves_them, nbformat.v4.new_notebook(metadata={"widgets": {}})),
    (as_a_build_leaves_them, notebook(nbformat.v4.new_code_cell(metadata={"execution": {}}))),
    (no_machine_in_outputs, notebook(code(text_plain="/home/ada/effkit/plot.py"))),
    (no_machine_in_outputs, notebook(code(text_plain="<function f at 0x7f3a5c0d1e10>"))),
    (five_questions, markdown(*(f"How many?\n\n{folded('Some.')}" for _ in range(4)), folded("So.", "Derivation"))),
    (no_answer_above_its_question, markdown(folded("It is 3."), "How many?")),
    (no_answer_above_its_question, markdown("How many?\n\n" + folded("It is 3.") + "\n\n" + folded("And 4."))),
    (no_answer_above_its_question, markdown("It is 153.0.", "How many?\n\n" + folded("It is **153**."))),
    (no_answer_above_its_question, notebook(code(text_plain="153.02"), *markdown("How many?", folded("**153.0**")).cells)),
]


def name(value: object) -> str | None:
    return value.__name__ if callable(value) else None


@pytest.mark.parametrize(("rule", "right"), RIGHT, ids=name)
def test_rule_lets_pass(rule: Rule, right: NotebookNode) -> None:
    assert rule(right) == []


@pytest.mark.parametrize(("rule", "wrong"), WRONG, ids=name)
def test_rule_finds(rule: Rule, wrong: NotebookNode) -> None:
    (finding,) = rule(wrong)
    assert ": " in finding


# -- numbers in the prose -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prose", "cell"),
    [
        ("60,954,656 parameters", code("60_954_656")),
        ("$60{,}954{,}656$ or 60\u202f954\u202f656 or `60_954_656`", code(text_plain="60954656")),
        ("about 61.0 million, or 61.0M, or 60,950,000", code(text_plain="60954656")),
        ("a ridge of 153.0, or 153", code(text_plain="153.01618440411966")),
        ("2.04 TB/s, $2.04\\,\\text{TB/s}$, 2,039 GB/s", code("bandwidth = 2039e9")),
        ("$1.56 \\times 10^{14}$ or 1.56 · 10¹⁴", code("156e12")),
        ("1470 KiB", code(text_plain="1505280")),
        ("12.5 % and 12.5\\%", code("0.125")),
        ("2039000000000 bytes", code(text_html="<td>2.039 TB/s</td>")),
        ("the ridge is at 153.0", code(text_html='<img alt="ridge 153.02 FLOPs/byte" src="data:1">')),
        ("the ridge is at 153.0", code(text_latex="$$153{.}02$$")),
        ("1000, 20, 7 layers and 1,500,000 more", code()),
        ("## 3.2 ResNet-152 at fp16\n\nSee section 3.25, in 1998 on an A100 and an RTX 4090 (arXiv:2205.14135)", code()),
        ("[this](https://example.org/12345) needs PyTorch 2.9, effkit 0.1.0, CC BY 4.0 and 10.1145/1498765", code()),
    ],
)
def test_numbers_that_are_in_a_cell(prose: str, cell: NotebookNode) -> None:
    assert numbers_are_computed(notebook(*markdown(prose).cells, cell)) == []


@pytest.mark.parametrize(
    ("prose", "cell"),
    [
        ("60,954,657 parameters", code("60_954_656")),
        ("a ridge of 156", code(text_plain="153.01618440411966")),
        ("a ridge of 153.1", code(text_plain="153.01618440411966")),
        ("2.05 TB/s", code("bandwidth = 2039e9")),
        ("0.5 of them", code("512")),
        ("1.57 · 10¹⁴", code("156e12")),
        ("2048 features", code()),
        ("$4096^2$", code("'4096'  # 4096")),
        ("**156**", code(text_html='<img alt="" src="data:image/png;base64,156">')),
        ("256x256 pixels", code()),
    ],
)
def test_numbers_that_are_in_no_cell(prose: str, cell: NotebookNode) -> None:
    assert len(numbers_are_computed(notebook(*markdown(prose).cells, cell))) >= 1
