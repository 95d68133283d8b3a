"""The package as a whole: what importing it costs, which way its imports run, and that its requirements agree."""

import ast
import doctest
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import effkit

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "effkit"
NOT_TRUTH = ("grading", "course", "__main__.py")
TRUTH = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in NOT_TRUTH)
JUDGE = sorted((PACKAGE / "grading").rglob("*.py"))


def test_the_readme_shows_what_happens() -> None:
    assert doctest.testfile(str(ROOT / "README.md"), module_relative=False).failed == 0


IMPORT_EFFKIT = """
import sys
import effkit
effkit.counts, effkit.dtypes, effkit.energy, effkit.hardware["t4"].roofline("fp16")
print(sorted(sys.modules.keys() & {"torch", "numpy", "matplotlib", "nbgrader", "ipywidgets", "IPython"}))
print(effkit.zoo.alexnet.__name__, "torch" in sys.modules)
"""


def test_import_is_light_until_a_module_that_needs_torch_is_used():
    run = subprocess.run([sys.executable, "-c", IMPORT_EFFKIT], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["[]", "alexnet True"], run.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'effkit' has no attribute 'no_such_name'"):
        effkit.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", effkit.__all__)
def test_each_public_name_exists_and_is_listed(name):
    assert hasattr(effkit, name)
    assert name in dir(effkit)


def relative_name(path):
    """Return a file's name below the repository, for the names of tests."""
    return path.relative_to(ROOT).as_posix()


def is_overload(function):
    """Whether a function only declares a type of the one that follows it."""
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in function.decorator_list)


@pytest.mark.parametrize("path", TRUTH, ids=relative_name)
def test_each_public_function_and_class_has_a_docstring(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    public = [
        node
        for node in module.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and not is_overload(node)
    ]
    assert ast.get_docstring(module)
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def imported_names(path):
    """Return the full name of each module, and of each thing in a module, that a file imports."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *filter(None, [node.module])])
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def imports_below(path, *rooms):
    """Return what a file imports from the given rooms of the package."""
    return sorted(name for name in imported_names(path) if name.startswith(tuple(f"effkit.{room}" for room in rooms)))


@pytest.mark.parametrize("path", TRUTH, ids=relative_name)
def test_truth_imports_neither_the_judge_nor_the_course(path):
    assert imports_below(path, "grading", "course") == []


PURE = {"arguments", "formula", "table", "shapes", "roofline", "hardware", "dtypes", "energy"}


@pytest.mark.parametrize("path", [p for p in TRUTH if p.stem in PURE or p.parent.name == "counts"], ids=relative_name)
def test_closed_forms_and_tables_import_nothing_but_python(path):
    tops = {name.partition(".")[0] for name in imported_names(path)}
    assert tops <= sys.stdlib_module_names | {"effkit"}


@pytest.mark.parametrize("path", JUDGE, ids=relative_name)
def test_the_judge_does_not_import_the_course(path):
    assert imports_below(path, "course") == []


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    requirement
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, group)
    if requirement.name != PROJECT["name"]
]
PINS = {
    canonicalize_name(pin.name): pin
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
    for pin in [Requirement(line)]
}
CONDA = {
    name: specifier
    for line in yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    if isinstance(line, str)
    for name, specifier in re.findall(r"^([\w.-]+)(.*)$", line)
}
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_each_requirement_has_a_tested_version_that_satisfies_it(requirement):
    pin = PINS[canonicalize_name(requirement.name)]
    (version,) = [specifier.version for specifier in pin.specifier if specifier.operator == "=="]
    assert version in requirement.specifier


def test_the_tests_run_with_one_version_of_torch():
    assert str(PINS["torch"]) == "torch==2.13.0"


def test_conda_and_pip_ask_for_the_same_versions():
    shared = {}
    for requirement in REQUIREMENTS:
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        if name in CONDA:
            shared[name] = requirement.specifier
    assert {"pytorch", "matplotlib-base", "numpy"} <= shared.keys()
    assert {name: SpecifierSet(CONDA[name]) for name in shared} == shared


def test_conda_s_python_is_one_that_the_package_supports():
    assert CONDA["python"].lstrip("=") in SpecifierSet(PROJECT["requires-python"])
