"""Random workflows with random faults: all or nothing, each effect once, undone in reverse, and always an end.

A fault raises, is refused, or ends the worker, before or after the effect; an undoing may fail too.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luxauto_pipelines.workflows.reconciler import reconcile_all
from luxauto_pipelines.workflows.spec import WorkflowSpec
from resources.store import journal
from tests.peers.inline import Engine, act, effects

ACTIONS = ("raise", "refuse", "exit")


@st.composite
def tasks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to seven tasks, each after some of those before it, in any order, most of them without a fault."""
    made = []
    for number in range(draw(st.integers(1, 7))):
        earlier = [f"t{i}" for i in range(number)]
        after = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else []
        fault: dict[str, Any] = {}
        kind = draw(st.sampled_from(["none", "none", "none", "forward", "undo"]))
        if kind == "forward":
            fault = {
                "point": draw(st.sampled_from(["before_effect", "after_effect"])),
                "action": draw(st.sampled_from(ACTIONS)),
                "times": draw(st.integers(1, 4)),
            }
        elif kind == "undo":
            fault = {
                "point": draw(st.sampled_from(["before_undo", "after_undo"])),
                "action": draw(st.sampled_from(ACTIONS)),
                "times": draw(st.integers(1, 10)),
            }
        rules = {
            "retry_count": draw(st.integers(0, 2)),
            "retry_delay_seconds": 0.0,
            "allow_failure": draw(st.sampled_from([False, False, False, True])),
            "weight": draw(st.sampled_from([0.5, 1.0, 3.0])),
        }
        made.append(act(f"t{number}", after, **fault, **rules))
    return draw(st.permutations(made))


class Watched(Engine):
    """An engine that notes the progress after every round."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.books, engine.instance)
        self.progress: list[float] = []

    def watch(self, key: str) -> None:
        for _ in range(200):
            self.work_off()
            self.progress.append(self.workflow(key).progress)
            if self.state(key) in journal.ENDED:
                return
            assert not reconcile_all(self.books, self.instance).faults
        raise AssertionError(f"{key} is still {self.state(key)}: {self.states(key)}")


@pytest.fixture
def watched(engine: Engine) -> Iterator[Watched]:
    yield Watched(engine)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(drawn=tasks())
def test_every_workflow_ends_with_all_or_with_nothing(watched: Watched, drawn: list[dict[str, Any]]) -> None:
    watched.progress.clear()
    key = watched.create(*drawn)
    spec = WorkflowSpec.model_validate(watched.workflow(key).spec)
    watched.execute(key)
    watched.watch(key)
    workflow, states = watched.workflow(key), watched.states(key)
    done = [line.removeprefix("do ") for line in effects(key) if line.startswith("do ")]
    undone = [line.removeprefix("undo ") for line in effects(key) if line.startswith("undo ")]

    assert len(done) == len(set(done)) and len(undone) == len(set(undone))
    assert set(undone) <= set(done)
    for position, name in enumerate(done):
        # A task may go on without one that was allowed to fail.
        before = {p for p in spec.ancestors(name) if states[p] != "failed_allowed" and not spec.task(p).allow_failure}
        assert before <= set(done[:position])
    if workflow.state == "completed":
        assert not undone
        assert set(states.values()) <= {"done", "failed_allowed"}
        assert {name for name, state in states.items() if state == "done"} <= set(done)
        assert workflow.progress == pytest.approx(1.0)
    elif workflow.state == "failed":
        assert workflow.rolled_back
        assert set(undone) == set(done)
        assert set(states.values()) <= {"compensated", "pending"}
        assert workflow.reason
    else:
        assert workflow.state == "needs_attention"
        stuck = {name for name, state in states.items() if state == "compensation_failed"}
        assert stuck and set(done) - stuck <= set(undone)
    if workflow.state != "needs_attention":
        for position, name in enumerate(undone):
            assert not (spec.ancestors(name) & set(undone[:position])), "undone before what depended on it"

    assert watched.progress == sorted(watched.progress)
    events = watched.events(key)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events].count(f"workflow.{workflow.state}") == 1
    began = [event.kind for event in events].index("workflow.compensating") if undone else len(events)
    assert not any(event.kind in ("step.started", "step.done") for event in events[began:])
