"""Nothing of a student's runs in the browser of whoever opens a graded notebook or its feedback."""

import base64
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from effkit.course.harmless import disarm, make_harmless

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()

MARKDOWN = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//x.example></script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick=alert(1)>bold</b> word",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "text\n\n<div>\n<script>\nalert(1)\n</script>\n</div>",
    "```html\n<script>alert(1)</script>\n```\n<script>alert(1)</script>",
    "`<script>` <script>alert(1)</script>",
    "<!-- --><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php <script>alert(1)</script> ?>",
    "</div></div><script>alert(1)</script>",
    "$x<script>alert(1)</script>$",
    "$$\\begin{a}<img src=x onerror=alert(1)>$$",
    "[click](javascript:alert(1))",
    "[click](<javascript:alert(1)>)",
    "[click](<java\tscript:alert(1)>)",
    "[click](java\\script\\:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](&#106;avascript:alert(1))",
    "[click](javascript&colon;alert(1))",
    "[click](java&Tab;script:alert(1))",
    "[click](vbscript:msgbox(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[click]\n\n[click]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "[http:javascript:alert(1)](http:javascript:alert(1))",
    "[xhttps](xhttps:alert(1))",
    "```mermaid\ngraph LR\nclick A javascript:alert(1)\n```",
    "| a | b |\n|---|:-:|\n| <script>alert(1)</script> | [c](javascript:alert(1)) |",
    "# <script>alert(1)</script>",
    "> <script>alert(1)</script>",
    '[![x](javascript:1)](javascript:2 "<script>")',
    "<a href='&#x6a;avascript:alert(1)'>x</a>",
]


class Active(HTMLParser):
    """Collects what a browser would run or load, in the body of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "svg", "form", "link", "meta", "base", "style"):
            self.found.append(tag)
        for name, value in attrs:
            plain = "".join((value or "").split()).lower()
            if name.startswith("on") or (name in ("href", "src", "srcdoc", "action") and _is_script(plain)):
                self.found.append(f"{tag} {name}={value}")
        if ("class", "mermaid") in attrs:
            self.found.append("mermaid")


def _is_script(address: str) -> bool:
    scheme = address.partition(":")[0] if ":" in address else ""
    picture = address.startswith(("data:image/png;", "data:image/jpeg;"))
    return (
        bool(scheme) and scheme.isascii() and scheme.isalnum() and scheme not in ("http", "https", "mailto") and not picture
    )


def active_in(notebook: NotebookNode) -> list[str]:
    """Return what is active in the page that nbconvert makes of a notebook, without its own header."""
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    reader = Active()
    reader.feed(page.partition("<body")[2])
    return reader.found


@pytest.mark.parametrize("source", MARKDOWN)
def test_markdown_of_a_student_holds_nothing_active(source: str) -> None:
    for cell in (new_markdown_cell(source), new_raw_cell(source)):
        notebook = new_notebook(cells=[cell])
        make_harmless(notebook)
        assert active_in(notebook) == []


def test_most_of_the_attacks_work_where_nothing_is_done() -> None:
    working = [source for source in MARKDOWN if active_in(new_notebook(cells=[new_markdown_cell(source)]))]
    assert len(working) > len(MARKDOWN) // 2


PIECES = st.sampled_from(
    ["<", ">", "/", "script", "img src=x", " onerror=alert(1)", "javascript", ":", "&", "#106;", "[x](", ")"]
)
MORE = st.sampled_from(
    ["`", "```\n", "\n\n", "$", "\\", "http", "data", "<a href='", "'", "*", "|", "![", "]", "(", "\t", "é"]
)


@given(st.lists(PIECES | MORE, max_size=14).map("".join))
def test_no_mixture_of_pieces_is_active(source: str) -> None:
    notebook = new_notebook(cells=[new_markdown_cell(source)])
    make_harmless(notebook)
    assert active_in(notebook) == []


@pytest.mark.parametrize(
    "source",
    [
        "Because $a < b$ and *wide* layers: see [this](https://example.org/a?b=1&c=2) or https://example.org.",
        "| a | b |\n|:--|--:|\n| 1 | 2 |",
        "```python\nx = {'a': 1} if a < 3 & b else 2\n```",
        "![mine](attachment:image.png), mail [me](mailto:a@example.org)",
    ],
)
def test_plain_markdown_stays_as_it_is(source: str) -> None:
    names = {"image.png"}
    assert disarm(source, names).replace("\u200b", "") == source
    assert disarm(disarm(source, names), names) == disarm(source, names)
    assert "attachment:" not in source or "attachment:image.png" in disarm(source, names)
    assert "https://" not in source or "https://example.org" in disarm(source)


def test_outputs_keep_text_and_pictures_only() -> None:
    bundle = {
        "text/plain": "<b>2</b>",
        "text/html": "<script>alert(1)</script>",
        "image/svg+xml": "<svg onload=alert(1)>",
        "application/javascript": "alert(1)",
        "image/png": PNG,
        "text/latex": "$x$",
        "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
        "image/jpeg": '" onerror="alert(1)',
    }
    cell = new_code_cell("x", execution_count=1)
    cell.outputs = [
        new_output(
            "display_data", data=bundle, metadata={"text/html": {"isolated": True}, "image/png": {"width": "1 onload=x"}}
        ),
        new_output("display_data", data={"text/html": "<iframe>"}),
        new_output("display_data", data={"text/html": f"<img src='data:image/png;base64,{PNG}' alt='two curves'>"}),
        new_output("stream", name="stdout", text="\x1b[31m<script>alert(1)</script>"),
        new_output("error", ename="<script>", evalue="<img onerror=x>", traceback=["<script>alert(1)</script>"]),
        new_output("execute_result", data={"text/markdown": "<script>alert(1)</script>"}, execution_count=1),
    ]
    notebook = new_notebook(cells=[cell], metadata={"widgets": {"x": "</script><script>alert(1)"}, "title": "<script>"})
    make_harmless(notebook)
    assert active_in(notebook) == []
    first, second, third, *_, last = notebook.cells[0].outputs
    assert dict(first.data) == {"text/plain": "<b>2</b>", "image/png": PNG}
    assert second.data["text/plain"] == "(left out, since it could hold a script: text/html)"
    assert (third.data["image/png"], third.metadata["image/png"]["alt"]) == (PNG, "two curves")
    assert "text/markdown" in last.data["text/plain"]
    assert set(notebook.metadata) == {"language_info"}


def test_metadata_ids_and_attachments_are_no_way_in() -> None:
    evil = "x' onclick='alert(1)"
    markdown = new_markdown_cell("![a](attachment:a.png) ![b](attachment:b.png)", metadata={"tags": [evil]}, id="m")
    markdown["attachments"] = {"a.png": {"text/html": evil, "image/png": PNG}, "b.png": {"image/svg+xml": evil}}
    code = new_code_cell("1", metadata={"alt": evil, "name": evil}, id="m")
    notebook = new_notebook(cells=[markdown, code])
    code["id"] = evil
    make_harmless(notebook)
    assert active_in(notebook) == []
    assert notebook.cells[0].attachments == {"a.png": {"image/png": PNG}}
    assert "onclick" not in str(notebook)


@pytest.mark.parametrize(
    "source", ["![x](http://a.example/x.png)", "![x][ref]\n\n[ref]: http://a.example/x.png", "[![x](http://a.example/x)](#)"]
)
def test_a_picture_from_elsewhere_becomes_a_link(source: str) -> None:
    assert 'src="http' in page_of(source)
    assert 'src="http' not in page_of(disarm(source))
    assert 'href="http://a.example' in page_of(disarm(source))


def page_of(source: str) -> str:
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(new_notebook(cells=[new_markdown_cell(source)]))
    return page.partition("<body")[2]


def test_the_labs_own_markdown_is_left_alone() -> None:
    source = "<details><summary>Hint</summary>Count the bias.</details>"
    notebook = new_notebook(cells=[new_markdown_cell(source), new_markdown_cell(source + " <b>mine</b>")])
    make_harmless(notebook, {source})
    assert notebook.cells[0].source == source
    assert "<details>" not in notebook.cells[1].source
