"""Makes the student bundle, after everything that must be true of it was found true."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import nbformat

import effkit
from effkit.course import notebooks
from effkit.course.bundle import expected, needles, opens, place, proof
from effkit.course.bundle.contents import bundle
from effkit.course.bundle.texts import texts, unpacked
from effkit.course.errors import CourseError
from effkit.course.prepare import effkit_digest
from effkit.course.source import Course

Say = Callable[[str], None]


@dataclass(frozen=True)
class Released:
    """What came of it: the bundle's folder and zip, or the reasons why there is none, one line each."""

    folder: Path
    archive: Path
    refusals: list[str] = field(default_factory=list)


def release(root: Path, output: Path | None, labs: Sequence[str], *, unsafe: bool, say: Say) -> Released:
    """Check the course, and write the bundle if there is nothing to object to.

    Raises CourseError if the checks cannot be made, or if there is no place for the bundle.
    """
    course = Course.read(root.resolve())
    chosen = _chosen(course, labs)
    _check_own_effkit(course.root)
    top = f"effkit-course-{effkit.__version__}"
    folder = output.resolve() if output else course.root / "release" / top
    place.check_free(folder)
    say(f"comparing the notebooks with their sources: {', '.join([*chosen, *course.lectures()])}")
    outdated = list(not_fresh(course, chosen))
    say("building the wheel")
    files = bundle(course, chosen)
    inside = unpacked(files)
    say(f"looking for answers in {len(inside)} files")
    refusals = [*outdated, *objections(course, chosen, inside)]
    if outdated:
        say("executing nothing: first the notebooks must be what their sources give")
    else:
        say(f"executing each solution with {len(proof.SEEDS)} seeds, and each lab as it is handed out")
        refusals += proof.prove(course.root, chosen, unsafe=unsafe, say=say)
    if not refusals:
        place.put(files, folder, top)
    return Released(folder, place.zip_beside(folder), list(dict.fromkeys(refusals)))


def _chosen(course: Course, labs: Sequence[str]) -> list[str]:
    known = course.labs()
    if unknown := [lab for lab in labs if lab not in known]:
        raise CourseError(f"there is no lab {unknown[0]!r}; the labs are: {', '.join(known) or 'none'}")
    if not known:
        raise CourseError(f"{course.root / 'solutions'} has no labs: there is nothing to hand out")
    return [lab for lab in known if not labs or lab in labs]


def _check_own_effkit(root: Path) -> None:
    """Raise CourseError unless the effkit that judges here is the one that students get."""
    if effkit_digest(root / "effkit") != effkit_digest():
        raise CourseError(
            f"the effkit that runs is in {Path(effkit.__file__).parent}, and the one in {root / 'effkit'} differs from it: "
            "in the course folder, run `make release`, or `pip install --editable '.[course]'` and this again"
        )


def not_fresh(course: Course, labs: Sequence[str]) -> Iterator[str]:
    """Yield each notebook that the bundle rests on and that differs from its source, with the first cell that does."""
    built = notebooks.build(course)
    for path in notebooks.stale(course, built):
        if path.parts[0] == "lectures" or path.parts[1] in labs:
            cell = _first_difference(course.root / path, built[path])
            yield f"{path.as_posix()}{cell}: differs from its source: run `make notebooks`"


def _first_difference(path: Path, built: str) -> str:
    try:
        there = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
    except Exception:  # noqa: BLE001  no file, or not a notebook at all
        return ""
    cells = nbformat.reads(built, as_version=4).cells
    known = {cell.id for cell in cells}
    different = [cell.id for cell in cells if there.get(cell.id) != cell] + [name for name in there if name not in known]
    return f", {different[0]}" if different else ""


def objections(course: Course, labs: list[str], inside: Mapping[str, bytes]) -> Iterator[str]:
    """Yield what must not be in a bundle with these labs, whose files are `unpacked`. Nothing is executed."""
    yield from opens.strangers(inside, labs)
    yield from opens.problems(inside, course.root)
    yield from _answers(course, inside)


def _answers(course: Course, inside: Mapping[str, bytes]) -> Iterator[str]:
    """Yield each place in the bundle that gives an answer away: of any lab, since others are handed out later."""
    sought = [needle for lab in course.labs() for needle in needles.needles_of(lab, *_pair(course, lab))]
    numbers = [one for lab in course.labs() for one in expected.expected_of(lab)]
    for where, parts in groupby(texts(inside), lambda text: text.place.removesuffix(", outputs or metadata")):
        pieces = list(parts)
        for lab, cell in sorted({hit for text in pieces for hit in needles.found_in(text, sought)}):
            yield f"{where}: holds a part of the solution {cell} of {lab}: take it out"
        for task, call in expected.told_in(pieces, numbers):
            yield f"{where}: tells what the check of {task} expects of {call}: take the number out, or use another case"


def _pair(course: Course, lab: str) -> tuple[str, str]:
    """Return the texts of a lab's two notebooks, with and without answers."""
    with_and_without = (course.root / folder / lab / f"{lab}.ipynb" for folder in ("solutions", "labs"))
    with_answers, without = (path.read_text(encoding="utf-8") if path.is_file() else "{}" for path in with_and_without)
    return with_answers, without
