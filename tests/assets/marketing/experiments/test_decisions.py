"""What is decided: the better arm, never a worse one, and the same again from the same inputs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from assets.marketing.experiments import decisions
from assets.marketing.experiments.comparisons import Summary, summary_of_rate
from assets.marketing.experiments.decisions import (
    BanditInputs,
    Better,
    Inputs,
    MetricInputs,
    Role,
    RollInputs,
    TrialInputs,
    decide,
    from_json,
    hash_of,
    judge,
    replay,
    to_json,
)
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.metrics import Kind
from assets.marketing.experiments.roll import Prior, prior_of_rate
from assets.marketing.experiments.sequential import bounds, equal_looks

N = 10_000


def goal(name: str = "bought", better: Better = "higher", role: Role = "goal", **successes: int) -> MetricInputs:
    """A rate: so many of 10,000 by arm."""
    arms = tuple((arm, summary_of_rate(x, N)) for arm, x in successes.items())
    return MetricInputs(name, "binary", arms, role, better)


def trial(*metrics: MetricInputs, units: tuple[tuple[str, int], ...] | None = None, **options: Any) -> TrialInputs:
    arms = [arm for arm, _ in metrics[0].arms]
    given = units or tuple((arm, N) for arm in arms)
    return TrialInputs(
        control="control",
        units=given,
        shares=tuple((arm, 1.0) for arm in arms),
        metrics=metrics,
        planned=options.pop("planned", N * len(arms)),
        **options,
    )


@st.composite
def trials(draw: st.DrawFn) -> TrialInputs:
    arms = ["control", *(f"arm {n}" for n in range(draw(st.integers(1, 3))))]
    metrics = []
    for n in range(draw(st.integers(1, 3))):
        kinds: tuple[Kind, ...] = ("binary", "continuous")
        kind = draw(st.sampled_from(kinds))
        size = st.integers(50, 20_000)
        rate = size.flatmap(lambda n: st.integers(0, n // 5).map(lambda x: summary_of_rate(x, n)))
        mean = st.builds(Summary, n=size, mean=st.floats(-10, 10), variance=st.floats(0, 1000))
        summaries = tuple((arm, draw(rate if kind == "binary" else mean)) for arm in arms)
        roles: tuple[Role, ...] = ("goal", "guardrail")
        sides: tuple[Better, ...] = ("higher", "lower")
        role = "goal" if n == 0 else draw(st.sampled_from(roles))
        better = draw(st.sampled_from(sides))
        metrics.append(MetricInputs(f"m{n}", kind, summaries, role=role, better=better))
    looks = draw(st.sampled_from([1, 1, 3]))
    return TrialInputs(
        control="control",
        units=tuple((arm, draw(st.integers(4900, 5100))) for arm in arms),
        shares=tuple((arm, 1.0) for arm in arms),
        metrics=tuple(metrics),
        planned=30_000,
        correction=draw(st.sampled_from(["holm", "bh", "none"])),
        information=equal_looks(looks),
        look=draw(st.integers(1, looks)),
    )


rolls = st.builds(
    RollInputs,
    arms=st.lists(
        st.integers(2, 50_000).flatmap(lambda n: st.integers(0, n).map(lambda x: summary_of_rate(x, n))),
        min_size=2,
        max_size=4,
    ).map(lambda found: tuple((f"arm {n}", summary) for n, summary in enumerate(found))),
    prior=st.builds(prior_of_rate, st.floats(0.01, 0.5), st.floats(0.001, 0.1)),
    remaining=st.integers(0, 10**6),
)
bandits = st.builds(
    BanditInputs,
    arms=st.lists(
        st.none() | st.integers(2, 5000).flatmap(lambda n: st.integers(0, n).map(lambda x: summary_of_rate(x, n))),
        min_size=2,
        max_size=4,
    ).map(lambda found: tuple((f"arm {n}", summary) for n, summary in enumerate(found))),
    metric_kind=st.just("binary"),
)


@given(trials())
@settings(max_examples=150, deadline=None)
def test_a_worse_variant_never_wins(inputs: TrialInputs) -> None:
    decision = decide(inputs)
    if decision.action != "roll_out":
        assert decision.arm is None
        return
    first = inputs.metrics[0]
    sign = 1 if first.better == "higher" else -1
    means = {arm: sign * summary.mean for arm, summary in first.arms}
    assert decision.arm is not None
    assert means[decision.arm] > means["control"]
    judged = judge(inputs)
    assert not [one for one in judged if one.arm == decision.arm and one.verdict in ("worse", "harmed")]
    rivals = [
        one.arm
        for one in judged
        if one.metric == first.metric
        and one.verdict == "better"
        and not any(o.arm == one.arm and o.verdict in ("worse", "harmed") for o in judged)
    ]
    assert means[decision.arm] == max(means[arm] for arm in rivals)


@given(rolls)
@settings(max_examples=60, deadline=None)
def test_what_is_rolled_out_has_the_highest_mean_of_those_tested_alike(inputs: RollInputs) -> None:
    decision = decide(inputs)
    posteriors = {name.removeprefix("posterior mean of "): value for name, value in decision.figures.items()}
    assert posteriors[decision.arm or ""] == max(posteriors[arm] or 0 for arm, _ in inputs.arms)
    if len({summary.n for _, summary in inputs.arms}) == 1:
        means = {arm: summary.mean for arm, summary in inputs.arms}
        assert means[decision.arm or ""] == max(means.values())


@given(trials() | rolls | bandits)
@settings(max_examples=120, deadline=None)
def test_decisions_replay_from_what_was_written(inputs: Inputs) -> None:
    decision = decide(inputs)
    read = from_json(to_json(decision))
    assert read == decision
    assert replay(read) == decision
    assert decision.inputs_hash == hash_of(inputs) == hash_of(read.inputs)


@given(trials(), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_arms_changes_no_decision(inputs: TrialInputs, random: Any) -> None:
    shuffled = list(inputs.units)
    random.shuffle(shuffled)
    metrics = tuple(replace(one, arms=tuple(sorted(one.arms, reverse=True))) for one in inputs.metrics)
    again = decide(replace(inputs, units=tuple(shuffled), metrics=metrics))
    assert (again.action, again.arm) == (decide(inputs).action, decide(inputs).arm)


def test_an_arm_that_is_better_wins_and_the_best_of_several() -> None:
    decision = decide(trial(goal(control=500, a=620, b=660)))
    assert (decision.action, decision.arm) == ("roll_out", "b")
    assert decision.reason == "b is better than control on bought"
    assert decision.figures["effect of b"] == pytest.approx(0.016)


def test_of_two_arms_whose_differences_are_rounded_alike_the_better_wins() -> None:
    summaries = (Summary(5000, -1.0, 0.5), Summary(5000, 0.0, 0.5), Summary(5000, 1e-200, 0.5))
    metric = MetricInputs("margin", "continuous", tuple(zip(("control", "a", "b"), summaries, strict=True)))
    assert decide(trial(metric)).arm == "b"


def test_arms_that_hardly_vary_are_told_apart_without_overflow() -> None:
    summaries = (Summary(5000, 0.0, 1e-310), Summary(5000, 1.0, 1e-310))
    metric = MetricInputs("margin", "continuous", tuple(zip(("control", "a"), summaries, strict=True)))
    assert decide(trial(metric)).arm == "a"
    assert decide(trial(metric, information=equal_looks(3), look=1)).arm == "a"


def test_what_is_less_may_be_what_is_better() -> None:
    assert decide(trial(goal(better="lower", control=500, a=620, b=380))).arm == "b"


def test_nothing_shown_keeps_the_control_at_the_end_and_goes_on_before() -> None:
    metric = goal(control=500, a=510)
    assert decide(trial(metric)).action == "keep_control"
    assert decide(trial(metric, information=equal_looks(4), look=3, planned=26_667)).action == "continue"
    assert decide(trial(metric, information=equal_looks(4), look=4)).action == "keep_control"


def test_a_look_decides_by_its_bound_and_not_by_the_ordinary_one() -> None:
    metric = goal(control=500, a=580)
    z, _ = proportions_ztest([580, 500], [N, N])
    assert 2.4 < z < 2.6
    information = equal_looks(5)
    for look, limit in enumerate(bounds(0.05, information), 1):
        decision = decide(trial(metric, information=information, look=look))
        assert (decision.action == "roll_out") == (z >= limit), look


def test_an_arm_that_is_worse_stops_a_test_early() -> None:
    decision = decide(trial(goal(control=700, a=400), information=equal_looks(4), look=2))
    assert (decision.action, decision.arm) == ("keep_control", None)
    assert decision.reason == "every arm does harm: for a, bought is worse"


def test_an_arm_that_makes_people_leave_does_not_win_whatever_it_sells() -> None:
    unsubscribed = goal("unsubscribed", "lower", "guardrail", control=20, a=45, b=21)
    assert decide(trial(goal(control=500, a=700, b=640), unsubscribed)).arm == "b"
    decision = decide(trial(goal(control=500, a=700, b=510), unsubscribed))
    assert (decision.action, decision.arm) == ("ask", None)
    assert decision.reason == "a is better on bought, but unsubscribed is harmed: a person has to weigh that"


def test_a_guardrail_is_one_sided_and_not_adjusted() -> None:
    complaints = goal("complaints", "lower", "guardrail", control=20, a=33, b=5)
    harm = {
        one.arm: one for one in judge(trial(goal(control=500, a=500, b=500), complaints)) if one.role == "guardrail"
    }
    z, p = proportions_ztest([33, 20], [N, N], alternative="larger")
    assert harm["a"].p_harm == pytest.approx(p)
    assert (harm["a"].verdict, harm["a"].p_adjusted) == ("harmed", None)
    assert norm.sf(z) < 0.05 < 2 * norm.sf(z)
    assert harm["b"].verdict == "held"
    assert harm["b"].p_harm == pytest.approx(1, abs=0.01)


def test_an_arm_that_is_worse_on_another_goal_is_for_a_person_to_weigh() -> None:
    decision = decide(trial(goal(control=500, a=700), goal("kept", control=9000, a=8500)))
    assert decision.action == "ask"
    assert "kept is worse" in decision.reason


def test_units_that_went_missing_block_everything() -> None:
    decision = decide(trial(goal(control=500, a=900), units=(("control", N), ("a", N - 600))))
    assert (decision.action, decision.arm) == ("blocked", None)
    unequal = trial(goal(control=500, a=900), units=(("control", N), ("a", N - 600)))
    assert decide(replace(unequal, shares=(("control", 10_000.0), ("a", 9_400.0)))).action == "roll_out"


def test_p_is_adjusted_over_goals_and_arms() -> None:
    judged = judge(trial(goal(control=500, a=560, b=575), goal("kept", control=800, a=860, b=800)))
    expected = np.asarray(multipletests([one.comparison.p for one in judged], method="holm")[1])
    assert [one.p_adjusted for one in judged] == pytest.approx(expected.tolist())


def test_the_best_of_a_list_is_rolled_out_with_what_that_risks() -> None:
    arms = (("a", Summary(500, 0.030, 0.029)), ("b", Summary(500, 0.034, 0.033)))
    decision = decide(RollInputs(arms, prior_of_rate(0.03, 0.005), 50_000))
    assert (decision.action, decision.arm) == ("roll_out", "b")
    assert 0.5 < (decision.figures["chance of being best"] or 0) < 0.9
    loss = decision.figures["expected loss per unit"] or 0
    assert decision.figures["expected loss of the rest"] == pytest.approx(50_000 * loss)
    assert 0 < loss < 0.005


def test_a_bandit_gives_shares_and_names_no_winner() -> None:
    decision = decide(BanditInputs((("a", summary_of_rate(10, 1000)), ("b", summary_of_rate(40, 1000))), "binary"))
    assert (decision.action, decision.arm) == ("allocate", None)
    assert decision.figures == pytest.approx({"share of a": 0.01, "share of b": 0.99}, abs=1e-4)
    waiting = decide(BanditInputs((("a", None), ("b", summary_of_rate(40, 1000))), "binary"))
    assert waiting.figures == {"share of a": 0.5, "share of b": 0.5}
    assert "until each has 100" in waiting.reason


def test_a_decision_that_was_changed_does_not_replay() -> None:
    text = to_json(decide(trial(goal(control=500, a=620))))
    told = json.loads(text)
    told["arm"] = "control"
    with pytest.raises(ExperimentError, match="somebody changed it since"):
        replay(from_json(json.dumps(told)))
    told = json.loads(text)
    told["inputs"]["metrics"][0]["arms"][1][1]["mean"] += 1e-15
    with pytest.raises(ExperimentError, match="inputs are not those of its hash"):
        replay(from_json(json.dumps(told)))
    told = json.loads(text)
    told["figures"]["effect of a"] = 0.5
    with pytest.raises(ExperimentError, match="somebody changed it since"):
        replay(from_json(json.dumps(told)))
    with pytest.raises(ValidationError):
        from_json("{}")


def test_a_decision_of_other_rules_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    decision = decide(trial(goal(control=500, a=620)))
    monkeypatch.setattr(decisions, "RULES", decisions.RULES + 1)
    with pytest.raises(ExperimentError, match="made by rules 1, these are 2"):
        replay(decision)


def test_inputs_that_cannot_be_decided_on_are_refused() -> None:
    metric = goal(control=500, a=620)
    with pytest.raises(ExperimentError, match="needs the control"):
        trial(goal(a=1, b=2))
    with pytest.raises(ExperimentError, match="has not the arms"):
        trial(metric, goal("other", control=1))
    with pytest.raises(ExperimentError, match="no metric is a goal"):
        trial(goal(role="guardrail", control=1, a=2))
    with pytest.raises(ExperimentError, match="named twice"):
        trial(metric, metric)
    with pytest.raises(ExperimentError, match="alpha is 0"):
        trial(metric, alpha=0)
    with pytest.raises(ValidationError):
        Summary(10, float("nan"), 1.0)
    with pytest.raises(ExperimentError, match="two arms"):
        decide(RollInputs((("a", Summary(5, 0.1, 0.1)),), Prior(0.1, 0.1, 0.1), 10))
