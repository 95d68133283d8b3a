"""Every task of every lab: right answers earn all, each known mistake loses points and is named as what it is."""

import json

import pytest

from effkit import counts, zoo
from effkit.grading.judge import judge
from effkit.grading.task import Task
from effkit.grading.tasks import LABS, find, tasks_of
from effkit.grading.tasks.lab2_parameters import ALEXNET, COUNT

SEEDS = range(25)
ALL = [task for lab in LABS for task in tasks_of(lab)]
EACH = [pytest.param(task, id=task.name) for task in ALL]


@pytest.mark.parametrize("task", EACH)
def test_the_reference_earns_every_point(task: Task) -> None:
    for seed in SEEDS:
        answers = [{"value": json_of(task.reference(*case))} for _, case in task.cases(seed)]
        assert judge(task, answers, seed).score == task.points


def json_of(value: object) -> object:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("task", "mistake"), [pytest.param(t, m, id=f"{t.name}: {m.name}") for t in ALL for m in t.misconceptions]
)
def test_a_known_mistake_loses_points_and_is_named(task: Task, mistake: object) -> None:
    for seed in SEEDS:
        answers = [{"value": json_of(mistake.formula(*case))} for _, case in task.cases(seed)]  # type: ignore[attr-defined]
        verdict = judge(task, answers, seed)
        assert verdict.score < task.points
        assert verdict.mistake is mistake


@pytest.mark.parametrize("task", EACH)
def test_cases_are_plain_json_named_by_the_arguments(task: Task) -> None:
    for seed in SEEDS:
        for group, case in task.cases(seed):
            assert json_of(case) == list(case)
            assert len(case) == len(task.arguments)
            assert group in task.groups
            assert task.call_text(case).startswith(f"{task.name}(")


@pytest.mark.parametrize("task", EACH)
def test_no_constant_earns_a_point(task: Task) -> None:
    """Each group has cases with different answers, so that guessing one number earns nothing."""
    for group in task.groups:
        answers = {json.dumps(task.reference(*case)) for seed in SEEDS for g, case in task.cases(seed) if g is group}
        assert len(answers) > 1


@pytest.mark.parametrize("task", EACH)
def test_every_group_is_graded_on_cases_that_the_student_has_not_seen(task: Task) -> None:
    seen = {json.dumps(case) for _, case in task.cases(0)}
    for group in task.groups:
        if group.sample:
            assert any(json.dumps(case) not in seen for g, case in task.cases(1) if g is group)
    assert any(group.sample for group in task.groups)


@pytest.mark.parametrize("task", EACH)
def test_misconceptions_have_hints_that_read_as_sentences(task: Task) -> None:
    assert task.misconceptions
    for mistake in task.misconceptions:
        assert mistake.hint.endswith((".", "?"))
        assert not mistake.name.endswith(".")


def test_task_names_are_unique_over_all_labs_and_found() -> None:
    assert len({task.name for task in ALL}) == len(ALL)
    assert all(find(task.name) is task for task in ALL)
    assert find("no_such_task") is None


def test_lab2_has_the_tasks_and_points_it_announces() -> None:
    assert len(tasks_of("lab2_parameters")) == 11
    assert sum(task.points for task in tasks_of("lab2_parameters")) == 30


def test_count_params_reference_equals_pytorch_on_the_models_it_builds() -> None:
    for seed in SEEDS:
        for _, case in COUNT.cases(seed):
            (model,) = COUNT.call_arguments(case)
            assert COUNT.reference(*case) == sum(p.numel() for p in model.parameters())


def test_count_params_wrong_formulas_are_the_mistakes_they_claim() -> None:
    """The wrong formulas work on the description of a model; here the same mistakes are made on the model itself."""
    mistakes = {m.name: m.formula for m in COUNT.misconceptions}
    for seed in SEEDS:
        for _, case in COUNT.cases(seed):
            (model,) = COUNT.call_arguments(case)
            state = model.state_dict().values()
            layers = [layer for half in model for layer in half]
            assert mistakes["everything in state_dict counted"](*case) == sum(t.numel() for t in state)
            assert mistakes["buffers counted"](*case) == sum(t.numel() for t in (*model.parameters(), *model.buffers()))
            assert mistakes["frozen parameters left out"](*case) == sum(
                p.numel() for p in model.parameters() if p.requires_grad
            )
            assert mistakes["tied weights counted twice"](*case) == sum(
                p.numel() for layer in layers for p in layer.parameters()
            )
            assert mistakes["a tied weight counted twice, a reused layer once"](*case) == sum(
                p.numel() for layer in dict.fromkeys(layers) for p in layer.parameters()
            )
            assert mistakes["tensors counted"](*case) == len(list(model.parameters()))


def test_alexnet_table_equals_the_network_layer_by_layer() -> None:
    for bias, total in ((False, 60_954_656), (True, 60_965_224)):
        table = ALEXNET.reference(1000, 1, bias)
        network = {
            name: sum(p.numel() for p in layer.parameters())
            for name, layer in zoo.alexnet(bias=bias).named_children()
            if any(True for _ in layer.parameters())
        }
        assert table == network
        assert sum(table.values()) == total


def test_mib_of_alexnet_is_the_published_one() -> None:
    size = find("model_size_mib")
    assert size is not None
    assert round(size.reference(60_954_656, 32), 1) == 232.5
    assert counts.model_size(60_954_656, 8) == 60_954_656
