"""`effkit collect`: what each LMS gives ends in submitted/, the latest attempt of everyone, and nothing unsafe with it."""

import io
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from effkit.course.cli import main
from effkit.course.lms import named, plain_stem
from tests.course.conftest import ROOT, run
from tests.course.submissions import load, released

LAB = "lab2_parameters"
FILE = f"{LAB}.ipynb"


@pytest.fixture
def course(course: Path) -> Path:
    shutil.copytree(ROOT / "labs", course / "labs")
    return course


def notebook(name: str = "full") -> bytes:
    return json.dumps(load(LAB, name).notebook).encode()


def zipped(path: Path, files: dict[str, bytes], times: dict[str, tuple[int, ...]] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (times or {}).get(name, (2026, 3, 1, 12, 0, 0)))  # type: ignore[arg-type]
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def collect(course: Path, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    status = main(["--course", str(course), "collect", LAB, *map(str, arguments)])
    return status, "".join(reversed(capsys.readouterr()))


def collected(course: Path) -> dict[str, str]:
    """Return what lies in submitted/, by path, as the names of submissions where it is one."""
    known = {notebook(name): name for name in ("full", "blank", "bias_forgotten")}
    files = sorted(path for path in (course / "submitted").glob("[!.]*/**/*") if path.is_file())
    shown = {str(path.relative_to(course / "submitted")): path.read_bytes() for path in files}
    return {path: known.get(content, content[:40].decode("latin-1").strip()) for path, content in shown.items()}


def place(student: str, file: str = FILE) -> str:
    return f"{student}/{LAB}/{file}"


# What the systems call files.
NAMES = {
    "doejane_12345_678_lab2_parameters-1.ipynb": ("doejane", "12345", "lab2_parameters-1.ipynb"),
    "doejane_LATE_12345_678_my_lab.ipynb": ("doejane", "12345", "my_lab.ipynb"),
    "Jane Doe_99_assignsubmission_file_/lab2.ipynb": ("Jane Doe", "99", "lab2.ipynb"),
    "Jane van der Doe_99_assignsubmission_file_lab2.ipynb": ("Jane van der Doe", "99", "lab2.ipynb"),
    "Jane Doe_99_assignsubmission_file_/sub/lab2.ipynb": ("Jane Doe", "99", "lab2.ipynb"),
    "Lab 2_jdoe_attempt_2026-01-30-15-00-00_lab2.ipynb": ("jdoe", "", "lab2.ipynb"),
    "jdoe/lab2.ipynb": ("jdoe", "", "lab2.ipynb"),
    "jdoe/lab2_parameters/lab2_parameters.ipynb": ("jdoe", "", FILE),
    "jdoe.zip/lab2.ipynb": ("jdoe", "", "lab2.ipynb"),
    "lab2_parameters_jdoe (1).ipynb": ("jdoe", "", "lab2_parameters_jdoe (1).ipynb"),
    "Copy of jdoe-lab2.ipynb": ("jdoe", "", "Copy of jdoe-lab2.ipynb"),
    "Copy of lab2_parameters.ipynb": ("", "", "Copy of lab2_parameters.ipynb"),
    "lab2_parameters (3).ipynb": ("", "", "lab2_parameters (3).ipynb"),
}


@pytest.mark.parametrize("path", NAMES)
def test_a_path_says_whose_it_is(path: str) -> None:
    own = named(tuple(path.split("/")), LAB)
    assert (own.who, own.lms_id, own.file) == NAMES[path]


@pytest.mark.parametrize(
    "name",
    [
        "lab (1).ipynb",
        "lab-1.ipynb",
        "Copy of lab.ipynb",
        "Copy of Copy of lab (2).ipynb",
        "lab-Copy1.ipynb",
        "lab.ipynb.txt",
    ],
)
def test_the_marks_of_copies_are_not_part_of_a_name(name: str) -> None:
    assert plain_stem(name) == "lab"


def test_canvas(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download = zipped(
        tmp_path / "submissions.zip",
        {
            "doejane_111_9001_lab2_parameters.ipynb": notebook("blank"),
            "doejane_111_9005_lab2_parameters-1.ipynb": notebook(),
            "roeric_LATE_222_9002_Lab2_Parameters.ipynb": notebook("bias_forgotten"),
            "muellereva_333_9003_lab2_parameters.ipynb": notebook(),
            "straypat_444_9004_lab2_parameters.ipynb": notebook("blank"),
        },
    )
    roster = tmp_path / "canvas.csv"
    roster.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,Lab 2 (77)\n"
        ",,,,,\n    Points Possible,,,,,32\n"
        '"Doe, Jane",111,s1,jdoe,A,\n"Roe, Ric",222,s2,rroe,A,\n"Müller, Eva",333,s3,emueller,A,\n'
        '"Late, Lou",555,s5,llate,A,\n"Student, Test",999,,t,A,\n',
        encoding="utf-8-sig",
    )
    status, said = collect(course, capsys, download, "--roster", roster)
    assert status == 1
    assert collected(course) == {
        place("emueller"): "full",
        place("jdoe"): "full",
        place("rroe"): "bias_forgotten",
        place("straypat_444"): "blank",
    }
    assert "LATER ATTEMPT jdoe: doejane_111_9005_lab2_parameters-1.ipynb is taken" in said
    assert "LATE rroe" in said
    assert "NOT ON THE ROSTER straypat_444" in said
    assert "WITHOUT A SUBMISSION (1): llate" in said
    assert f"{LAB}: 4 new" in said
    assert "ROSTER line" not in said
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        students = {s.id: (s.first_name, s.last_name, s.lms_user_id) for s in gradebook.students}
    assert students == {
        "jdoe": ("Jane", "Doe", "111"),
        "rroe": ("Ric", "Roe", "222"),
        "emueller": ("Eva", "Müller", "333"),
        "llate": ("Lou", "Late", "555"),
    }


def test_moodle_with_its_worksheet_and_its_time(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download = zipped(
        tmp_path / "moodle.zip",
        {
            "Jane Doe_901_assignsubmission_file_/lab2_parameters.ipynb": notebook(),
            "Ric Roe_902_assignsubmission_file_lab2 (1).ipynb": notebook("blank"),
            "Ric Roe_902_assignsubmission_onlinetext_/onlinetext.html": b"<p>see file</p>",
        },
    )
    roster = tmp_path / "worksheet.csv"
    roster.write_text(
        "Identifier,Full name,ID number,Email address,Status,Last modified (submission)\n"
        'Participant 901,Jane Doe,m1,jane@uni.edu,Submitted,"Monday, 2 March 2026, 11:58 PM"\n'
        "Participant 902,Ric Roe,,ric@uni.edu,Submitted,-\n"
    )
    status, said = collect(course, capsys, download, "--roster", roster)
    assert (status, said) == (0, f"2 students are new in the gradebook\n{LAB}: 2 new\n")
    assert collected(course) == {
        place("m1"): "full",
        place("m1", "timestamp.txt"): "2026-03-02 23:58:00.000000 UTC",
        place("ric"): "blank",
    }


def test_blackboard_attempts_are_ordered_by_their_time(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, later = (f"Lab2_jdoe_attempt_2026-01-30-{hour}-00-00" for hour in ("09", "17"))
    files = {
        f"{later}_lab2_parameters.ipynb": notebook(),
        f"{first}_lab2_parameters.ipynb": notebook("blank"),
        f"{later}.txt": b"Name: Jane Doe",
    }
    status, said = collect(course, capsys, zipped(tmp_path / "gradebook.zip", files))
    assert status == 0
    assert collected(course) == {
        place("jdoe"): "full",
        place("jdoe", "timestamp.txt"): "2026-01-30 17:00:00.000000 UTC",
    }
    assert "LATER ATTEMPT" in said


@pytest.mark.parametrize("wrapping", ["", "submissions/", "a/b/"])
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_folders_of_students(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrapping: str, kind: str
) -> None:
    files = {
        f"{wrapping}ann/{LAB}/{FILE}": notebook(),
        f"{wrapping}ann/{LAB}/timestamp.txt": b"2026-03-01 10:00:00 UTC",
        f"{wrapping}ben/Copy of lab2.ipynb": notebook("blank"),
        f"{wrapping}cem/cem.zip": zipped(tmp_path / "cem.zip", {"work/lab2.ipynb": notebook()}).read_bytes(),
        f"{wrapping}dan/answers.pdf": b"%PDF",
        f"{wrapping}__MACOSX/ann/._{FILE}": b"junk",
    }
    source = zipped(tmp_path / "class.zip", files)
    if kind == "folder":
        for name, content in files.items():
            (tmp_path / "class" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "class" / name).write_bytes(content)
        source = tmp_path / "class"
    status, said = collect(course, capsys, source)
    assert (status, said) == (0, f"{LAB}: 4 new\n")
    assert collected(course) == {
        place("ann"): "full",
        place("ann", "timestamp.txt"): "2026-03-01 10:00:00.000000 UTC",
        place("ben"): "blank",
        place("cem"): "full",
        place("dan", "answers.pdf"): "%PDF",
    }


@pytest.mark.parametrize("path", [f"ann/{LAB}/{FILE}", f"ann/{FILE}", f"submitted/ann/{LAB}/{FILE}"])
def test_the_folder_of_a_single_student(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    collect(course, capsys, zipped(tmp_path / "class.zip", {path: notebook()}))
    assert collected(course) == {place("ann"): "full"}


def test_loose_downloads(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ann_lab2_parameters.ipynb").write_bytes(notebook("blank"))
    os.utime(tmp_path / "ann_lab2_parameters.ipynb", (1e9, 1e9))
    (tmp_path / "ann_lab2_parameters (1).ipynb").write_bytes(notebook())
    (tmp_path / "Copy of lab2_parameters.ipynb").write_bytes(notebook())
    status, said = collect(course, capsys, *sorted(tmp_path.glob("*.ipynb")))
    assert status == 1
    assert collected(course) == {place("ann"): "full"}
    assert "WHOSE? Copy of lab2_parameters.ipynb" in said
    assert "put it into a folder with the student's id" in said


def test_of_several_notebooks_the_one_of_the_lab_is_taken(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    files = {
        "ann/scratch.ipynb": other,
        "ann/final.ipynb": notebook(),
        "ben/one.ipynb": notebook(),
        "ben/two.ipynb": notebook("blank"),
        "cem/lab1.ipynb": other,
        "dan/lab2.ipynb": b'{"cut off',
    }
    status, _ = collect(course, capsys, zipped(tmp_path / "class.zip", files))
    assert status == 0
    assert list(collected(course)) == [
        place("ann"),
        place("ben", "one.ipynb"),
        place("ben", "two.ipynb"),
        place("cem", "lab1.ipynb"),
        place("dan"),
    ]


def test_running_again_changes_nothing(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = zipped(tmp_path / "class.zip", {"ann/lab2.ipynb": notebook(), "ben/lab2.ipynb": notebook("blank")})
    collect(course, capsys, source)
    before = {path: path.stat().st_mtime_ns for path in (course / "submitted").rglob("*.ipynb")}
    (course / "submitted" / "ben" / LAB / FILE).write_bytes(notebook("bias_forgotten"))  # a grader repaired it
    status, said = collect(course, capsys, source)
    assert (status, said) == (0, f"{LAB}: 2 unchanged\n")
    assert (course / "submitted" / "ben" / LAB / FILE).read_bytes() == notebook("bias_forgotten")
    mended = course / "submitted" / "ben" / LAB / FILE
    assert all(path.stat().st_mtime_ns == when for path, when in before.items() if path != mended)


def test_a_later_attempt_replaces_and_an_older_one_never_does(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "doejane_111_{}_lab2_parameters.ipynb"
    first = zipped(tmp_path / "first.zip", {name.format(9001): notebook("blank")})
    second = zipped(tmp_path / "second.zip", {name.format(9005): notebook()})
    collect(course, capsys, first)
    status, said = collect(course, capsys, second)
    assert (status, said) == (0, f"{LAB}: 1 replaced by a later attempt\n")
    status, said = collect(course, capsys, first)
    assert status == 1
    assert "KEPT doejane_111: this is an older attempt" in said
    assert collected(course) == {place("doejane_111"): "full"}


def test_what_lies_there_by_another_way_is_kept(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(LAB, "bias_forgotten").put(course)
    folder = course / "submitted" / "bias_forgotten" / LAB
    mine = (folder / FILE).read_bytes()
    source = zipped(tmp_path / "class.zip", {"bias_forgotten/lab2.ipynb": notebook()})
    status, said = collect(course, capsys, source)
    assert status == 1
    assert "KEPT bias_forgotten: another notebook lies there" in said
    (folder / "timestamp.txt").write_text("2026-03-01 10:00:00 UTC")
    assert collect(course, capsys, source)[0] == 1
    assert (folder / FILE).read_bytes() == mine


def test_a_later_time_replaces_what_lies_there_by_another_way(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = course / "submitted" / "ann" / LAB
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(notebook("bias_forgotten"))
    (folder / "timestamp.txt").write_text("2026-03-01 10:00:00 UTC")
    for hour, outcome in (("09", "unchanged"), ("11", "replaced by a later attempt")):
        source = zipped(tmp_path / f"{hour}.zip", {f"lab2_ann_attempt_2026-03-01-{hour}-00-00_lab2.ipynb": notebook()})
        assert collect(course, capsys, source)[1].endswith(f"{LAB}: 1 {outcome}\n")


def test_a_dry_run_writes_nothing(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(course.rglob("*"))
    roster = tmp_path / "roster.csv"
    roster.write_text("student_id,first_name,last_name,email\nann,Ann,Lee,ann@uni.edu\nbob,Bob,Ray,bob@uni.edu\n")
    source = zipped(tmp_path / "class.zip", {"ann/lab2.ipynb": notebook(), "zoe/lab2.ipynb": notebook()})
    status, said = collect(course, capsys, source, "--roster", roster, "--dry-run")
    assert status == 1
    assert "NOT ON THE ROSTER zoe" in said
    assert "WITHOUT A SUBMISSION (1): bob" in said
    assert f"{LAB}: 2 would be new" in said
    assert sorted(course.rglob("*")) == sorted([*before, roster, tmp_path / "class.zip"])


def test_the_roster_is_remembered(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_bytes("Benutzer;student_id;Vorname;Nachname;E-Mail\nx;m7;Jörg;Weiß;jw@uni.edu\n".encode("cp1252"))
    source = zipped(tmp_path / "a.zip", {"weissjorg_55_1_lab2.ipynb": notebook()})
    collect(course, capsys, source, "--roster", roster)
    status, said = collect(course, capsys, zipped(tmp_path / "b.zip", {"zoe_56_2_lab2.ipynb": notebook()}))
    assert status == 1
    assert "NOT ON THE ROSTER zoe_56" in said
    assert list(collected(course)) == [place("m7"), place("zoe_56")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("colour,size\nred,1\n", "no column that identifies students"),
    ],
)
def test_a_roster_that_is_none_is_explained(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "roster.csv").write_text(text)
    source = zipped(tmp_path / "class.zip", {"ann/lab2.ipynb": notebook()})
    status, said = collect(course, capsys, source, "--roster", tmp_path / "roster.csv")
    assert status == 2
    assert words in said
    assert not (course / "submitted").exists()


# Nothing unsafe.
def _hostile(path: Path) -> Path:
    zipped(
        path,
        {
            "good/lab2.ipynb": notebook(),
            "../evil/lab2.ipynb": notebook(),
            "eve/../../../evil/lab2.ipynb": notebook(),
            "/tmp/evil/lab2.ipynb": notebook(),
            "C:\\evil\\lab2.ipynb": notebook(),
            "eve\\..\\..\\evil.ipynb": notebook(),
            "bomb/lab2.ipynb": b"0" * 60_000_000,
            "huge/lab2.ipynb": b"0" * 101_000_000,
        },
    )
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deeper.zip", zipped(path.with_name("inner.zip"), {"lab2.ipynb": notebook()}).read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        for name, mode in (("link/lab2.ipynb", stat.S_IFLNK), ("pipe/lab2.ipynb", stat.S_IFIFO)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
        archive.writestr("nested/x.zip", inner.getvalue())
        archive.writestr("broken/x.zip", b"PK\x03\x04 cut off")
        archive.writestr("last/lab2.ipynb", notebook("blank"))
    return path


def test_unsafe_members_are_refused_one_by_one(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(tmp_path.parent.iterdir())
    status, said = collect(course, capsys, _hostile(tmp_path / "hostile.zip"))
    assert status == 1
    assert collected(course) == {place("good"): "full", place("last"): "blank"}
    refused = [line for line in said.splitlines() if line.startswith("REFUSED")]
    assert len(refused) == 11
    for words in (
        "leads out",
        "absolute path",
        "a link",
        "a pipe",
        "zip bomb",
        "more than the 100 MB",
        "zip in a zip",
        "broken",
    ):
        assert any(words in line for line in refused), words
    assert set(tmp_path.parent.iterdir()) == before
    assert not Path("/tmp/evil").exists()


def test_links_and_pipes_in_a_folder_are_not_followed(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "class"
    for student in ("ann", "ben", "cem"):
        (source / student).mkdir(parents=True)
    (source / "ann" / FILE).write_bytes(notebook())
    (source / "ben" / FILE).symlink_to("/etc/passwd")
    os.mkfifo(source / "cem" / FILE)
    (source / "all").symlink_to(source)
    status, said = collect(course, capsys, source)
    assert status == 1
    assert collected(course) == {place("ann"): "full"}
    assert said.count("it is a link") == 2
    assert said.count("it is a pipe") == 1


def test_a_damaged_member_gives_way_to_the_attempt_before(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "doejane_111_{}_lab2_parameters.ipynb"
    path = zipped(tmp_path / "a.zip", {name.format(1): notebook("blank"), name.format(2): notebook()})
    content = bytearray(path.read_bytes())
    place_of_data = content.rindex(name.format(2).encode(), 0, content.index(b"PK\x01\x02")) + 200
    content[place_of_data] ^= 0xFF
    path.write_bytes(content)
    status, said = collect(course, capsys, path)
    assert status == 1
    assert "cannot be unpacked" in said
    assert collected(course) == {place("doejane_111"): "blank"}


def test_an_encrypted_member_is_explained(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = zipped(tmp_path / "a.zip", {"ann/lab2.ipynb": notebook(), "ben/lab2.ipynb": notebook()})
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1  # the flag of encryption in the directory's entry for ann
    path.write_bytes(content)
    status, said = collect(course, capsys, path)
    assert status == 1
    assert "ann/lab2.ipynb: it is encrypted: ask for it without a password" in said
    assert collected(course) == {place("ben"): "full"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.zip", b"PK\x03\x04 nothing", "cut off: download it again"),
        ("a.zip", b"", "cut off: download it again"),
        ("a.rar", b"Rar!", "only zip archives are read"),
        ("a.pdf", b"%PDF", "neither a zip, nor a folder, nor a notebook"),
    ],
)
def test_a_source_that_is_none_is_explained(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    status, said = collect(course, capsys, tmp_path / name)
    assert status == 1
    assert words in said
    assert "nothing was found to collect" in said


def test_a_students_folder_that_is_a_link_is_left_alone(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (course / "submitted").mkdir()
    (course / "submitted" / "ann").symlink_to(elsewhere)
    status, said = collect(course, capsys, zipped(tmp_path / "a.zip", {"ann/lab2.ipynb": notebook()}))
    assert status == 1
    assert "move it away" in said
    assert list(elsewhere.iterdir()) == []


def test_interrupted_and_run_again_it_finishes(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = zipped(tmp_path / "class.zip", {f"s{i}/lab2.ipynb": notebook() for i in range(4)})
    rename, calls = Path.rename, []

    def stops(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stops)
    collect(course, capsys, source)
    monkeypatch.undo()
    status, said = collect(course, capsys, source)
    assert (status, said) == (0, f"{LAB}: 2 new, 2 unchanged\n")
    assert list(collected(course)) == [place(f"s{i}") for i in range(4)]


def test_by_the_real_command_what_was_collected_can_be_graded(course: Path, tmp_path: Path) -> None:
    source = zipped(tmp_path / "class.zip", {"doejane_1_2_lab2-1.ipynb": notebook()})
    result = run(course, "effkit", "collect", LAB, str(source))
    assert (result.returncode, result.stdout) == (0, f"{LAB}: 1 new\n"), result.stderr
    doctor = run(course, "effkit", "doctor", f"submitted/doejane_1/{LAB}")
    assert doctor.returncode == 0, doctor.stdout
    assert released(LAB).metadata.effkit.version  # the lab that it was compared with


def test_an_unknown_lab_or_source_is_said(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = collect(course, capsys, tmp_path / "nowhere.zip")
    assert (status, "there is no" in said) == (2, True)
    assert main(["--course", str(course), "collect", "lab99", str(tmp_path)]) == 2
    assert f"there is no lab 'lab99'; the labs are: {LAB}" in capsys.readouterr().err
