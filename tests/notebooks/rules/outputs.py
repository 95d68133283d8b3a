"""Rules for the outputs with which a notebook is committed."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from nbformat import NotebookNode

_FILE_NAME = re.compile(r"(?i)^\S*\.(png|jpe?g|gif|svg|webp)$|^_?images?/")
_OF_A_MACHINE = re.compile(
    r"/(?:home|root|Users|tmp|var/folders)/[^\s\"'<]*|[A-Z]:\\\\?Users|site-packages|\bat 0x[0-9a-fA-F]{6,}"
)


def described_images(notebook: NotebookNode) -> list[str]:
    """Each image has an alt text that is not the name of a file; so an output is no bare picture, which cannot have one."""
    findings = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            alts = re.findall(r"!\[([^\]]*)\]\(", cell.source) + list(_alts(cell.source))
            findings += [f"{cell.id}: an image with the alt text {alt!r}" for alt in alts if _says_nothing(alt)]
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            findings += [f"{cell.id}: a bare {kind}: use effkit.show" for kind in data if kind.startswith("image/")]
            alts = list(_alts(data.get("text/html", "")))
            findings += [f"{cell.id}: an image with the alt text {alt!r}" for alt in alts if _says_nothing(alt)]
    return findings


def as_a_build_leaves_them(notebook: NotebookNode) -> list[str]:
    """No errors, no stderr, no counts, no widgets, which are dead without their kernel, and nothing measured here."""
    findings = ["notebook: the state of widgets"] if "widgets" in notebook.metadata else []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        if cell.get("execution_count") is not None or any(output.get("execution_count") for output in outputs):
            findings.append(f"{cell.id}: an execution count")
        if "execution" in cell.metadata:
            findings.append(f"{cell.id}: the time when it ran")
        if outputs and "live" in cell.metadata.get("tags", []):
            findings.append(f"{cell.id}: outputs of a live cell, which other machines would not give")
        for output in outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                findings.append(f"{cell.id}: {output.get('name', 'an error')}")
            findings += [f"{cell.id}: {kind}" for kind in output.get("data", {}) if "jupyter.widget" in kind]
    return findings


def no_machine_in_outputs(notebook: NotebookNode) -> list[str]:
    """No output names a path or an address in memory of the machine that built it."""
    texts = ((cell.id, text) for cell in notebook.cells for output in cell.get("outputs", []) for text in _strings(output))
    found = ((cell_id, _OF_A_MACHINE.search(re.sub(r"data:image[^\"]*", "", text))) for cell_id, text in texts)
    return [f"{cell_id}: {match.group()}" for cell_id, match in found if match]


def _strings(of: object) -> Iterator[str]:
    if isinstance(of, str):
        yield of
    elif isinstance(of, dict | list):
        for inside in of.values() if isinstance(of, dict) else of:
            yield from _strings(inside)


def _alts(html: str) -> Iterator[str]:
    """Yield the alt text of each image in HTML; "" where it has none."""
    parser = _Images()
    parser.feed(html)
    yield from parser.alts


class _Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "svg"):
            self.alts.append(dict(attributes).get("alt" if tag == "img" else "aria-label") or "")


def _says_nothing(alt: str) -> bool:
    return not alt.strip() or bool(_FILE_NAME.search(alt.strip()))
