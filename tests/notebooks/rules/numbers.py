"""Each number in the prose is computed or written in a cell.

A number of three or more significant digits, or with a decimal point, must be found in the code of some cell or in an output
that is kept, or must be what one of those rounds to at the digits that the prose gives; zeros at the end of an integer count
as rounded. A number may stand with its unit: 2.04 TB/s is found in 2039000000000, 1.5 KiB in 1536, 12.5 % in 0.125, and the
other way round.

What is not meant as a quantity is left out: `_NO_QUANTITIES` lists it all. So are digits in a name (ResNet-50, fp16, A100).
"""

import ast
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape

from nbformat import NotebookNode

from tests.notebooks.rules.code import parse
from tests.notebooks.rules.text import markdown_cells

_NO_QUANTITIES = {
    "years": r"(?<![\d.,])(19[5-9]\d|20[0-3]\d)(?![\d]|[.,]\d)",
    "the number of a heading": r"(?m)^ {0,3}#{1,6}\s+\d[\d.]*",
    "references": r"(?i)\b(section|figure|table|equation|chapter|lecture|lab|algorithm|appendix|page|pp?\.)s?\s*\d[\d.]*",
    "arXiv ids": r"(?i)\barxiv[:\s]\s*\d{4}\.\d{4,5}",
    "DOIs": r"\b10\.\d{4,}/\S+",
    "versions": r"\bv?\d+(\.\d+){2,}|\b(Python|PyTorch|torch|[Nn]um[Pp]y|[Mm]atplotlib|CUDA|IPython|ipywidgets) v?\d[\d.]*",
    "licences": r"\bCC BY[-A-Z]* \d\.\d",
    "product names": r"\b(GTX|RTX|Xeon|Ryzen|Cortex) \w*\d[\w.]*",
}
_PREFIXES = {"n": 1e-9, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_PREFIXES |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_WORDS = {"%": 0.01, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "B": 1e9}
_NUMBER = re.compile(
    r"(?<![\w.])(?<![A-Za-z][-‑])(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<decimals>\d+))?(?:[eE](?P<e>[+-]?\d+))?"
    r"(?:\s*[×*·]\s*10\s?\^\s?\{?(?P<power>[-−]?\d+))?"
    r"(?=\}*\s{0,3}-?(?:(?P<prefix>[KMGT]i|[nµμmkKMGTP])(?:B|b|W|J|s|Hz|FLOP|OP|op|MAC|byte|bit|param)"
    r"|(?P<alone>[kKMGTP])\b|(?P<word>%|thousand|million|billion|trillion|B\b))?)"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


@dataclass(frozen=True)
class Number:
    """A number as the prose gives it: its text, value, the worth of its last digit, and the factor of its unit."""

    text: str
    value: float
    step: float
    digits: int
    factor: float

    @property
    def needs_a_cell(self) -> bool:
        return self.digits >= 3 or "." in self.text


def numbers_are_computed(notebook: NotebookNode) -> list[str]:
    """Each number in the prose is found in code or in an output of the notebook, or rounds one of those."""
    known = known_numbers(notebook.cells)
    return [
        f"{cell.id}: {number.text} is in no cell's code or output"
        for cell in markdown_cells(notebook)
        for number in numbers_in(prose(cell.source))
        if number.needs_a_cell and not shown(number, known)
    ]


def shown(number: Number, known: list[float]) -> bool:
    """Whether one of the sorted `known` values is the number, with or without its unit, at the digits it has."""
    for factor in {1.0, number.factor}:
        middle, half = number.value * factor, number.step * factor / 2
        slack = half + 1e-9 * abs(middle)
        place = bisect_left(known, middle - slack)
        if place < len(known) and known[place] <= middle + slack:
            return True
    return False


def known_numbers(cells: Iterable[NotebookNode], *, with_prose: bool = False) -> list[float]:
    """Return the numbers in the code and the outputs of cells, and if asked for in their prose, sorted."""
    found: set[float] = set()
    for cell in cells:
        if cell.cell_type == "code":
            found.update(_constants(cell.source))
            texts = [text for output in cell.outputs for text in _texts(output)]
        else:
            texts = [prose(cell.source)] if with_prose else []
        for number in (number for text in texts for number in numbers_in(text)):
            found |= {number.value, number.value * number.factor}
    return sorted(found)


def numbers_in(text: str) -> Iterator[Number]:
    """Yield the numbers of a text; math may be LaTeX."""
    for match in _NUMBER.finditer(_plain(text)):
        whole, decimals = match["whole"].replace(",", ""), match["decimals"] or ""
        power = int(match["e"] or (match["power"] or "0").replace("−", "-"))
        if abs(power) > 300 or len(whole) > 300:
            continue
        digits = (whole + decimals).lstrip("0")
        exact = digits if decimals else digits.rstrip("0")
        zeros = len(digits) - len(exact)
        factor = _PREFIXES.get(match["prefix"] or match["alone"] or "", 1.0) * _WORDS.get(match["word"] or "", 1.0)
        value = float(f"{whole}.{decimals or 0}e{power}")
        yield Number(match.group().strip(), value, 10.0 ** (power + zeros - len(decimals)), len(exact), factor)


def prose(markdown: str) -> str:
    """Return markdown without addresses, tags and all that is not meant as a quantity."""
    text = re.sub(r"\]\([^)]*\)|https?://\S+|<!--.*?-->|</?[A-Za-z][^>]*>", " ", markdown, flags=re.S)
    for pattern in _NO_QUANTITIES.values():
        text = re.sub(pattern, " ", text)
    return text


def _plain(text: str) -> str:
    """Return text with each number in one piece: no LaTeX spaces, braces or fonts, no thin spaces between digits."""
    text = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", lambda match: "10^" + match[1].translate(_SUPERSCRIPTS), text)
    text = re.sub(r"(?<=\d)(\\,|[_\u2009\u202f\xa0])(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"\{([.,])\}", r"\1", text)
    text = re.sub(r"\\(?:times|cdot)(?![a-z])", "×", text).replace("\\%", "%")
    return re.sub(r"\\(?:[,;:! ]|q?quad(?![a-z])|(?:text|mathrm|mathbf|operatorname)\s*\{)|~", " ", text)


def _constants(source: str) -> Iterator[float]:
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and abs(node.value) < 1e300:
            yield float(node.value)


def _texts(output: NotebookNode) -> Iterator[str]:
    """Yield what a reader sees of an output, with the alt texts of its images."""
    if output.output_type == "stream":
        yield output.text
    for kind, data in output.get("data", {}).items():
        if kind == "text/html":
            yield from (unescape(alt) for alt in re.findall(r"\balt=\"([^\"]*)\"", data))
            yield unescape(re.sub(r"<[^>]*>", " ", data))
        elif kind.startswith("text/"):
            yield data
