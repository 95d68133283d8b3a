"""Rules for what markdown cells say."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

DETAILS = re.compile(r"(?s)<details[^>]*>\s*<summary>(.*?)</summary>(.*?)</details>")
_ROOT = Path(__file__).parents[3]


def plain_headings(notebook: NotebookNode) -> list[str]:
    """No emoji in a heading."""
    lines = (
        (cell.id, line) for cell in markdown_cells(notebook) for line in re.findall(r"(?m)^ {0,3}#{1,6}\s.*", cell.source)
    )
    return [f"{cell_id}: {line}" for cell_id, line in lines if any(_is_emoji(character) for character in line)]


def dollar_math(notebook: NotebookNode) -> list[str]:
    """Math stands between dollar signs, single or double, and each that opens is closed. Colab knows no other delimiter."""
    findings = []
    for cell in markdown_cells(notebook):
        text = without_code(cell.source)
        other = re.search(r"\\[()\[\]]", re.sub(r"\$\$.*?\$\$|\$[^$]*\$", "", text, flags=re.S).replace("\\\\", ""))
        bare = re.search(r"\\begin\{\w+\*?\}", re.sub(r"(?s)\$\$.*?\$\$|\$[^$]*\$", "", text))
        findings += [f"{cell.id}: {match.group()} outside of dollar signs" for match in (other, bare) if match]
        if len(re.findall(r"(?<!\\)\$", text)) % 2:
            findings.append(f"{cell.id}: a dollar sign that opens math is not closed (\\$ is an amount of money)")
    return findings


def links(notebook: NotebookNode) -> list[str]:
    """A link goes to https, to a heading of the notebook, or to a file of the course that is there.

    A reference to an image counts too; a notebook on Colab has no files, so it has to be on the web.
    """
    findings = []
    for cell in markdown_cells(notebook):
        text = without_code(cell.source)
        images = re.findall(r"!\[[^\]]*\]\(\s*([^)\s]+)", text)
        targets = re.findall(r"\]\(\s*([^)\s]+)", text) + re.findall(r"(?:href|src)=[\"']([^\"']+)", text)
        findings += [f"{cell.id}: link to {target}" for target in targets if not _is_good(target, target in images)]
        findings += [
            f"{cell.id}: {url}, not https" for url in re.findall(r"\bhttp://[^\s)\"'>]+", text) if url not in targets
        ]
    return findings


def folded_text(notebook: NotebookNode) -> list[str]:
    """What `<details>` folds has a summary and stands between blank lines, without which its markdown is not rendered."""
    findings = []
    for cell in markdown_cells(notebook):
        blocks = [block for block in DETAILS.findall(cell.source) if _is_folded_well(*block)]
        if not len(re.findall(r"<details\b", cell.source)) == cell.source.count("</details>") == len(blocks):
            findings.append(f"{cell.id}: <details><summary>, text after a blank line, and </details> after a blank line")
        if re.search(r"<details[^>]*\bopen\b", cell.source):
            findings.append(f"{cell.id}: <details open> folds nothing")
    return findings


def headings(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Yield the level and text of each heading. nbgrader's solution marks and fenced code are no headings."""
    for cell in markdown_cells(notebook):
        prose = re.sub(r"(?ms)^ *(```+|~~~+).*?^ *\1", "", cell.source)
        for marks, title in re.findall(r"(?m)^ {0,3}(#{1,6})\s+(.*)", prose):
            if title not in ("BEGIN SOLUTION", "END SOLUTION"):
                yield len(marks), title.strip()


def markdown_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells of prose."""
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def without_code(markdown: str) -> str:
    """Return markdown without its fenced blocks and code spans."""
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", re.sub(r"(?ms)^ *(```+|~~~+).*?^ *\1", "", markdown))


def _is_emoji(character: str) -> bool:
    return unicodedata.category(character) == "So"


def _is_folded_well(summary: str, text: str) -> bool:
    between_blank_lines = re.fullmatch(r"[ \t]*\n\s*\n.*\S[ \t]*\n\s*\n\s*", text, re.S)
    return bool(summary.strip() and between_blank_lines) and "<details" not in text


def _is_good(target: str, is_image: bool) -> bool:
    if target.startswith(("https://", "#")):
        return not (is_image and target.startswith("#"))
    if is_image:
        return False
    path = target.partition("#")[0]
    return any((folder / path).is_file() for folder in (_ROOT / "lectures", *_ROOT.glob("labs/*")))
