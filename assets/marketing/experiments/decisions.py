"""What follows from an experiment: a pure function of what was known, whose answer carries it and can be given again.

Belongs here: the rules by which an arm wins, the list is rolled out, or a bandit's weights are set. Does not belong here: the
people themselves (inputs are counts, means and variances), or acting on the answer.

A test decides so:

1. Units per arm must be those that were drawn: a sample ratio with p < .001 blocks everything.
2. An arm that makes a guardrail worse (one-sided p < alpha, not adjusted: a false alarm is cheap) cannot win.
3. An arm wins by the first goal: better than the control by an adjusted p over all goals and arms, and on no goal worse by one.
   Of several, the one with the larger effect wins. Effects are differences, never ratios.
4. Where every arm is worse on some goal or guardrail, the control is kept at once. Otherwise, at a look before the last,
   nothing found means to go on; at the last it means to keep the control.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass as checked

from assets.marketing.experiments.always_valid import always_valid_p, radius, rho_for
from assets.marketing.experiments.bandit import FLOOR, LEAST, next_weights
from assets.marketing.experiments.comparisons import Comparison, Summary, compare_means, compare_rates
from assets.marketing.experiments.corrections import Correction, adjusted
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.metrics import Kind
from assets.marketing.experiments.posteriors import chances_of_being_best, expected_loss, of_mean
from assets.marketing.experiments.roll import Prior
from assets.marketing.experiments.sample_ratio import SampleRatio, sample_ratio
from assets.marketing.experiments.sequential import nominal_alpha, sequential_p

RULES = 1
"""Goes up with every change of what is decided by the same inputs."""
_LEAST_P = 1e-300
_FINITE = ConfigDict(allow_inf_nan=False)
Better = Literal["higher", "lower"]
Role = Literal["goal", "guardrail"]


@checked(frozen=True, config=_FINITE)
class MetricInputs:
    """One metric by arm, the control among them. A guardrail's `better` is the side on which no harm is done."""

    metric: str
    kind: Kind
    arms: tuple[tuple[str, Summary], ...]
    role: Role = "goal"
    better: Better = "higher"


@checked(frozen=True, config=_FINITE)
class TrialInputs:
    """A test against a control. The first goal decides.

    units: per arm, as they were drawn and not as a metric found them; shares: intended, of any unit. information: shares of the
    planned units known at each look, (1.0,) for a single one; look: 1 is the first. planned: units of all arms at the end.
    """

    control: str
    units: tuple[tuple[str, int], ...]
    shares: tuple[tuple[str, float], ...]
    metrics: tuple[MetricInputs, ...]
    planned: int
    alpha: float = 0.05
    correction: Correction = "holm"
    information: tuple[float, ...] = (1.0,)
    look: int = 1
    kind: Literal["trial"] = "trial"

    def __post_init__(self) -> None:
        arms = [arm for arm, _ in self.units]
        if len(arms) != len(set(arms)) or len(arms) < 2 or self.control not in arms:
            raise ExperimentError(
                f"a test needs the control {self.control!r} and another arm, each once; there are: {', '.join(arms)}."
            )
        for metric in self.metrics:
            if sorted(arm for arm, _ in metric.arms) != sorted(arms):
                raise ExperimentError(f"metric {metric.metric!r} has not the arms {', '.join(arms)}. Give it for each.")
        if not any(metric.role == "goal" for metric in self.metrics):
            raise ExperimentError("no metric is a goal, so nothing can be decided. Name one that is no guardrail.")
        names = [metric.metric for metric in self.metrics]
        if len(names) != len(set(names)):
            raise ExperimentError(f"a metric is named twice: {', '.join(names)}. Name each once.")
        if not 0 < self.alpha < 1:
            raise ExperimentError(f"alpha is {self.alpha}. Give a number between 0 and 1, such as 0.05.")


@checked(frozen=True, config=_FINITE)
class RollInputs:
    """The test of a finite list is over; so many people remain."""

    arms: tuple[tuple[str, Summary], ...]
    prior: Prior
    remaining: int
    kind: Literal["roll"] = "roll"


@checked(frozen=True, config=_FINITE)
class BanditInputs:
    """Matured outcomes by arm, None for an arm without any."""

    arms: tuple[tuple[str, Summary | None], ...]
    metric_kind: Kind
    floor: float = FLOOR
    least: int = LEAST
    kind: Literal["bandit"] = "bandit"


Inputs = TrialInputs | RollInputs | BanditInputs
Action = Literal["roll_out", "keep_control", "continue", "ask", "blocked", "allocate"]


@checked(frozen=True, config=_FINITE)
class Decision:
    """`arm` wins where the action is roll_out. `figures` are the numbers it rests on; `inputs_hash` is of inputs and rules."""

    action: Action
    arm: str | None
    reason: str
    figures: dict[str, float | None]
    inputs: Annotated[Inputs, Field(discriminator="kind")]
    inputs_hash: str
    rules: int = RULES


def decide(inputs: Inputs) -> Decision:
    """The same inputs, the same decision. Raises ExperimentError for inputs that cannot be decided on."""
    if isinstance(inputs, TrialInputs):
        action, arm, reason, figures = _of_trial(inputs)
    elif isinstance(inputs, RollInputs):
        action, arm, reason, figures = _of_roll(inputs)
    else:
        action, arm, reason, figures = _of_bandit(inputs)
    return Decision(action, arm, reason, figures, inputs, hash_of(inputs))


def replay(decision: Decision) -> Decision:
    """Decide again from the decision's own inputs.

    Raises ExperimentError where inputs are not those of the hash, rules have changed, or another answer comes out.
    """
    if decision.rules != RULES:
        raise ExperimentError(
            f"the decision was made by rules {decision.rules}, these are {RULES}. Replay it with the version that made it."
        )
    if hash_of(decision.inputs) != decision.inputs_hash:
        raise ExperimentError("the decision's inputs are not those of its hash: somebody changed them since.")
    again = decide(decision.inputs)
    if (again.action, again.arm) != (decision.action, decision.arm) or not _alike(again.figures, decision.figures):
        raise ExperimentError(
            f"replayed, the decision is {again.action} {again.arm or ''}, and not {decision.action} {decision.arm or ''}: "
            "somebody changed it since."
        )
    return again


def hash_of(inputs: Inputs) -> str:
    """SHA-256 of the inputs as JSON with the version of the rules, 64 hexadecimal digits."""
    return hashlib.sha256(b"%d\n" % RULES + _inputs_adapter().dump_json(inputs)).hexdigest()


def to_json(decision: Decision) -> str:
    """For a store or a file; every number comes back as it was."""
    return _adapter().dump_json(decision).decode()


def from_json(text: str) -> Decision:
    """The decision again. Raises pydantic's ValidationError for what is none, and does not replay it."""
    return _adapter().validate_json(text)


@dataclass(frozen=True)
class Judged:
    """One arm's metric beside the control's.

    The comparison's interval is that of this look. `p_over_looks` holds over the planned looks, `p_adjusted` over goals and
    arms too; a guardrail has `p_harm`, one-sided, instead. `low_always`, `high_always` hold at any moment.
    """

    metric: str
    arm: str
    role: Role
    better: Better
    comparison: Comparison
    p_over_looks: float
    p_adjusted: float | None
    p_harm: float | None
    low_always: float
    high_always: float
    p_always: float
    verdict: Literal["better", "worse", "undecided", "held", "harmed"]

    @property
    def gain(self) -> float:
        """The effect, positive where it is for the better."""
        return self.comparison.effect if self.better == "higher" else -self.comparison.effect


def judge(inputs: TrialInputs) -> tuple[Judged, ...]:
    """Every arm beside the control, metric by metric in the order given.

    Intervals are not widened for several goals and arms; p-values are."""
    level = nominal_alpha(inputs.alpha, inputs.information, inputs.look)
    found = [
        _compared(inputs, metric, arm, level)
        for metric in inputs.metrics
        for arm, _ in inputs.units
        if arm != inputs.control
    ]
    goals = [place for place, one in enumerate(found) if one.role == "goal"]
    p_values = adjusted([found[place].p_over_looks for place in goals], inputs.correction)
    for place, p in zip(goals, p_values, strict=True):
        clear = p < inputs.alpha and found[place].gain != 0
        verdict = "undecided" if not clear else "better" if found[place].gain > 0 else "worse"
        found[place] = replace(found[place], p_adjusted=p, verdict=verdict)
    return tuple(found)


def ratio_of(inputs: TrialInputs) -> SampleRatio:
    """Of the units drawn."""
    return sample_ratio(dict(inputs.units), dict(inputs.shares))


def _compared(inputs: TrialInputs, metric: MetricInputs, arm: str, level: float) -> Judged:
    own, control = dict(metric.arms)[arm], dict(metric.arms)[inputs.control]
    comparison = (compare_rates if metric.kind == "binary" else compare_means)(own, control, level)
    n = own.n + control.n
    units = dict(inputs.units)
    planned = inputs.planned * (units[arm] + units[inputs.control]) / sum(units.values())
    rho = rho_for(planned, inputs.alpha)
    half = float(radius(comparison.standard_error, n, rho, inputs.alpha))
    z = _as_z(comparison)
    p = comparison.p if inputs.information == (1.0,) else sequential_p(z, inputs.information, inputs.look)
    harm = _harm(z, metric.better) if metric.role == "guardrail" else None
    verdict = "undecided" if harm is None else "harmed" if harm < inputs.alpha else "held"
    return Judged(
        metric.metric,
        arm,
        metric.role,
        metric.better,
        comparison,
        p_over_looks=p,
        p_adjusted=None,
        p_harm=harm,
        low_always=comparison.effect - half,
        high_always=comparison.effect + half,
        p_always=always_valid_p(comparison.effect, comparison.standard_error, n, rho),
        verdict=verdict,
    )


def _as_z(comparison: Comparison) -> float:
    """The normal statistic with the same p; t itself where p is too small for a number."""
    from scipy.stats import norm

    if comparison.df is None or comparison.p < _LEAST_P:
        return comparison.statistic
    return math.copysign(float(norm.isf(comparison.p / 2)), comparison.statistic)


def _harm(z: float, better: Better) -> float:
    from scipy.stats import norm

    return float(norm.cdf(z) if better == "higher" else norm.sf(z))


_Told = tuple[Action, str | None, str, dict[str, float | None]]


def _of_trial(inputs: TrialInputs) -> _Told:
    judged, ratio = judge(inputs), ratio_of(inputs)
    metric = next(metric for metric in inputs.metrics if metric.role == "goal")
    goal, sign = metric.metric, 1 if metric.better == "higher" else -1
    first = {one.arm: one for one in judged if one.metric == goal}
    figures: dict[str, float | None] = {"sample_ratio_p": ratio.p}
    for arm, one in first.items():
        figures[f"effect of {arm}"] = one.comparison.effect
        figures[f"adjusted p of {arm}"] = one.p_adjusted
    if ratio.verdict == "block":
        return "blocked", None, f"the arms have not the units they should have (p {ratio.p:.1e}); find out why", figures
    against = {
        arm: [
            f"{one.metric} is {one.verdict}" for one in judged if one.arm == arm and one.verdict in ("worse", "harmed")
        ]
        for arm in first
    }
    better = [one for one in first.values() if one.verdict == "better"]
    # By means, not differences: next to a control of another size, two differences may be rounded to the same number.
    winners = sorted((-sign * mean, arm) for arm, mean in _means(metric).items() if first.get(arm) in better)
    winners = [arm for _, arm in winners if not against[arm]]
    if winners:
        return "roll_out", winners[0], f"{winners[0]} is better than {inputs.control} on {goal}", figures
    if better:
        told = "; ".join(f"{one.arm} is better on {goal}, but {', '.join(against[one.arm])}" for one in better)
        return "ask", None, f"{told}: a person has to weigh that", figures
    if all(against.values()):
        told = "; ".join(f"for {arm}, {', '.join(faults)}" for arm, faults in against.items())
        return "keep_control", None, f"every arm does harm: {told}", figures
    if inputs.look < len(inputs.information):
        left = len(inputs.information) - inputs.look
        return "continue", None, f"nothing is shown on {goal} yet; {left} looks are left", figures
    return "keep_control", None, f"no arm is shown to be better than {inputs.control} on {goal}", figures


def _means(metric: MetricInputs) -> dict[str, float]:
    return {arm: summary.mean for arm, summary in metric.arms}


def _of_roll(inputs: RollInputs) -> _Told:
    if len(inputs.arms) < 2:
        raise ExperimentError("a test needs two arms at least. Name another arm.")
    posteriors = [of_mean(summary, inputs.prior) for _, summary in inputs.arms]
    chosen = max(range(len(posteriors)), key=lambda n: (posteriors[n].mean, -n))
    best, loss = chances_of_being_best(posteriors), expected_loss(posteriors, chosen)
    arm = inputs.arms[chosen][0]
    figures: dict[str, float | None] = {"chance of being best": best[chosen], "expected loss per unit": loss}
    figures["expected loss of the rest"] = loss * inputs.remaining
    for (name, _), posterior in zip(inputs.arms, posteriors, strict=True):
        figures[f"posterior mean of {name}"] = posterior.mean
    reason = f"{arm} has the highest mean after the test, and is the best with a chance of {best[chosen]:.1%}"
    return "roll_out", arm, reason, figures


def _of_bandit(inputs: BanditInputs) -> _Told:
    weights = next_weights(dict(inputs.arms), inputs.metric_kind, floor=inputs.floor, least=inputs.least)
    figures: dict[str, float | None] = {f"share of {arm}": share for arm, share in weights.shares.items()}
    if weights.exploring:
        return "allocate", None, f"all arms get the same until each has {inputs.least} matured outcomes", figures
    arm = max(weights.shares, key=lambda name: weights.shares[name])
    return "allocate", None, f"{arm} gets most of the next batch ({weights.shares[arm]:.1%})", figures


def _alike(one: Mapping[str, float | None], other: Mapping[str, float | None]) -> bool:
    """To nine digits: another machine's mathematics may round the last ones otherwise."""
    return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Decision]:
    return TypeAdapter(Decision)


@lru_cache(maxsize=1)
def _inputs_adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[Inputs, Field(discriminator="kind")])
