"""What a workflow may be: everything that is wrong with it is named, with the place, before anything runs."""

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from luxauto_pipelines.workflows.jobs import undo_order, widest
from luxauto_pipelines.workflows.spec import InvalidWorkflow, WorkflowSpec, check, references, resolve
from tests.peers.inline import act, gate


@pytest.fixture(autouse=True)
def agents(home: Path) -> None:
    home.mkdir()
    (home / "luxauto.yaml").write_text('agents: ["tests.peers.world"]\n')


def spec(*tasks: dict[str, Any], **rules: Any) -> WorkflowSpec:
    return WorkflowSpec.model_validate({"name": "Test", "tasks": tasks, **rules})


def faults(*tasks: dict[str, Any], **rules: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidWorkflow) as caught:
        check(spec(*tasks, **rules))
    return caught.value.errors


def test_a_workflow_of_known_agents_in_order_is_valid() -> None:
    check(spec(act("a"), act("b", ["a"]), gate("g", ["b"], question="Go?", timeout_hours=2)))


def test_a_circle_is_told_task_by_task() -> None:
    ((pointer, message),) = faults(act("a", ["c"]), act("b", ["a"]), act("c", ["b"]), act("d"))
    assert pointer == "/tasks"
    assert all(name in message for name in ("a", "b", "c")) and "d" not in message.split("circle: ")[1]
    assert " → " in message


def test_a_task_that_waits_for_itself_is_a_circle() -> None:
    assert "a → a" in faults(act("a", ["a"]))[0][1]


def test_a_dependency_that_is_not_there_is_named() -> None:
    assert faults(act("a"), act("b", ["a", "z"])) == [("/tasks/1/depends_on/1", "there is no task 'z'")]


def test_two_tasks_of_one_name_are_refused() -> None:
    ((pointer, message),) = faults(act("a"), act("a"))
    assert pointer == "/tasks/1/name" and "'a'" in message


def test_an_unknown_agent_is_answered_with_those_that_there_are() -> None:
    ((pointer, message),) = faults({**act("a"), "agent_type": "nobody"})
    assert pointer == "/tasks/0/agent_type"
    assert "'nobody'" in message and "world" in message and "marketing" in message


def test_an_unknown_method_is_answered_with_those_that_there_are() -> None:
    ((pointer, message),) = faults({**act("a"), "agent_method": "fly"})
    assert pointer == "/tasks/0/agent_method"
    assert "'fly'" in message and "look" in message


def test_parameters_that_do_not_fit_are_named_with_their_place() -> None:
    found = dict(faults(act("a", times="often"), act("b", unheard_of=1)))
    assert set(found) == {"/tasks/0/parameters/times", "/tasks/1/parameters/unheard_of"}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = faults(act("a", ["z"]), {**act("a"), "agent_type": "nobody"}, act("c", times="often"))
    assert {pointer for pointer, _ in found} == {
        "/tasks/1/name",
        "/tasks/0/depends_on/0",
        "/tasks/1/agent_type",
        "/tasks/2/parameters/times",
    }


def test_a_compensation_method_has_to_be_there_and_to_take_its_parameters() -> None:
    unknown = {**act("a"), "compensation_method": "unfly"}
    misfit = {**act("b"), "compensation_method": "undo", "compensation_parameters": {"x": 1}}
    orphan = {**act("c"), "compensation_parameters": {"x": 1}}
    assert [pointer for pointer, _ in faults(unknown, misfit, orphan)] == [
        "/tasks/0/compensation_method",
        "/tasks/1/compensation_parameters/x",
        "/tasks/2/compensation_parameters",
    ]


def test_a_reference_may_only_be_to_a_task_that_is_over_before() -> None:
    takes = act("b", gives={"x": "${a.field}"})
    ((pointer, message),) = faults(act("a"), takes)
    assert pointer == "/tasks/1/parameters" and "'a'" in message and "depends_on" in message
    check(spec(act("a"), act("between", ["a"]), {**takes, "depends_on": ["between"]}))


def test_a_reference_stands_for_a_parameter_of_any_type() -> None:
    check(spec(act("a"), act("b", ["a"], times="${a.number}")))


def test_a_text_that_only_looks_like_a_reference_is_a_text() -> None:
    for text in ("${a}", "$a.b", "x ${a.b}", "${a.b} x", "${.b}", "${a.b.c-d}"):
        assert list(references(text)) == []


def test_a_reference_in_a_compensation_is_checked_too() -> None:
    task = {**act("b"), "compensation_method": "undo", "compensation_parameters": {"gives": {"x": "${a.y}"}}}
    assert faults(act("a"), task)[0][0] == "/tasks/1/compensation_parameters"


@pytest.mark.parametrize("value", [float("nan"), [float("-inf")], {"x": "a\x00b"}, {"a\x00b": 1}])
def test_a_parameter_that_no_database_can_hold_is_refused(value: object) -> None:
    ((pointer, _),) = faults(act("a", gives={"value": value}))
    assert pointer == "/tasks/0/parameters"


def test_an_approval_must_not_be_allowed_to_fail() -> None:
    assert faults({**gate("g"), "allow_failure": True})[0][0] == "/tasks/0/allow_failure"


@pytest.mark.parametrize("parameters", [{"timeout_hours": 0}, {"timeout_hours": 10_000}, {"whom": "me"}])
def test_an_approval_takes_a_question_and_a_time(parameters: dict[str, Any]) -> None:
    assert faults(gate("g", **parameters))[0][0].startswith("/tasks/0/parameters/")


@pytest.mark.parametrize(
    "more",
    [
        {"name": ""},
        {"name": "x" * 129},
        {"name": "a{b"},
        {"name": "a\x00b"},
        {"retry_count": -1},
        {"retry_count": 11},
        {"retry_delay_seconds": -1},
        {"retry_delay_seconds": float("nan")},
        {"timeout_seconds": 0},
        {"timeout_seconds": float("inf")},
        {"timeout_seconds": 86_401},
        {"weight": 0},
        {"weight": float("nan")},
        {"depends_on": ["a"] * 201},
        {"agent_type": ""},
        {"unheard_of": 1},
    ],
)
def test_a_task_out_of_bounds_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec({**act("a"), **more})


@pytest.mark.parametrize(
    "rules",
    [{"name": ""}, {"name": "x" * 201}, {"max_parallel_tasks": 0}, {"max_parallel_tasks": 65}, {"tasks": []}, {"x": 1}],
)
def test_a_workflow_out_of_bounds_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WorkflowSpec.model_validate({"name": "Test", "tasks": [act("a")], **rules})


def test_more_than_two_hundred_tasks_are_refused() -> None:
    with pytest.raises(ValidationError):
        spec(*(act(f"t{number}") for number in range(201)))


def test_references_are_replaced_however_deep_and_nothing_else_is() -> None:
    given_ = {"a": ["${x.one}", {"b": "${x.two}"}], "c": "x.one", "d": 1}
    assert resolve(given_, {"x": {"one": [1], "two": None}}) == {"a": [[1], {"b": None}], "c": "x.one", "d": 1}
    with pytest.raises(KeyError, match="three"):
        resolve("${x.three}", {"x": {}})


@st.composite
def graphs(draw: st.DrawFn) -> WorkflowSpec:
    """Tasks of which each depends on some before it, listed in any order."""
    count = draw(st.integers(1, 8))
    tasks = [
        act(f"t{i}", draw(st.lists(st.sampled_from([f"t{j}" for j in range(i)]), unique=True)) if i else [])
        for i in range(count)
    ]
    return spec(*draw(st.permutations(tasks)))


@given(graphs(), st.data())
def test_each_task_is_undone_after_all_that_depended_on_it_even_across_tasks_that_never_ran(
    workflow: WorkflowSpec, data: st.DataObject
) -> None:
    names = [task.name for task in workflow.tasks]
    chosen = {name: workflow.task(name) for name in data.draw(st.sets(st.sampled_from(names), min_size=1))}
    before = undo_order(workflow, chosen)
    assert before.keys() == chosen.keys()
    for order in [list(TopologicalSorter(before).static_order())]:
        for name in chosen:
            for ancestor in workflow.ancestors(name) & chosen.keys():
                assert order.index(name) < order.index(ancestor)
    for name, first in before.items():
        assert all(name in workflow.ancestors(other) for other in first)


@given(graphs())
def test_the_widest_wave_is_the_most_tasks_of_one_depth(workflow: WorkflowSpec) -> None:
    depth: dict[str, int] = {}
    for name in TopologicalSorter({task.name: task.depends_on for task in workflow.tasks}).static_order():
        depth[name] = max((depth[parent] + 1 for parent in workflow.task(name).depends_on), default=0)
    waves = [list(depth.values()).count(level) for level in set(depth.values())]
    assert widest({task.name: task.depends_on for task in workflow.tasks}) == max(waves)


@given(graphs())
def test_a_specification_survives_being_stored(workflow: WorkflowSpec) -> None:
    assert WorkflowSpec.model_validate(workflow.model_dump(mode="json")) == workflow
