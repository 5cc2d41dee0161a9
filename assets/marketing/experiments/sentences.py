"""What an analysis says, in sentences for people who do not read p-values."""

from assets.marketing.experiments.analysis import Analysis, MetricData
from assets.marketing.experiments.decisions import Judged

_ACTIONS = {
    "roll_out": "Roll out",
    "keep_control": "Keep the control",
    "continue": "Go on",
    "ask": "Ask a person",
    "blocked": "Decide nothing",
    "allocate": "Allocate",
}


def sentences(analysis: Analysis) -> list[str]:
    """The sample ratio, every comparison, how metrics were handled, and the decision."""
    by_name = {metric.name: metric for metric in analysis.metrics}
    told = [_of_ratio(analysis)]
    told += [_of_comparison(one, by_name[one.metric], analysis) for one in analysis.judged]
    told += [line for metric in analysis.metrics for line in _of_handling(metric)]
    inputs = analysis.inputs
    if len(inputs.information) > 1:
        told.append(
            f"This is look {inputs.look} of {len(inputs.information)}: it decides from |z| = {analysis.bound:.3f} on, "
            f"so that all looks together err in {inputs.alpha:.0%} of tests without a difference."
        )
    told.append(decision_sentence(analysis))
    return told


def decision_sentence(analysis: Analysis) -> str:
    """What to do, and why."""
    decision = analysis.decision
    arm = f" {decision.arm}" if decision.arm else ""
    return f"{_ACTIONS[decision.action]}{arm}: {decision.reason}."


def _of_ratio(analysis: Analysis) -> str:
    ratio = analysis.ratio
    counts = ", ".join(f"{arm} {count:,}" for arm, count in analysis.units.items())
    verdict = {
        "ok": "as they were drawn",
        "warn": "not quite what was drawn: look for units lost on one side",
        "block": "NOT what was drawn, so nothing below can be trusted",
    }[ratio.verdict]
    return f"Units: {counts}; {verdict} (p {_p(ratio.p)})."


def _of_comparison(one: Judged, metric: MetricData, analysis: Analysis) -> str:
    control = analysis.inputs.control
    c = one.comparison
    sides = {arm: summary.mean for arm, summary in metric.summaries.items()}
    relative = "" if c.relative is None else f", {c.relative:+.1%} of the control's"
    found = (
        f"{one.arm}: {metric.name} {plain(sides[one.arm], metric.kind)} against {plain(sides[control], metric.kind)} of "
        f"{control}, a difference of {shown(c.effect, metric.kind)} ({interval(c.low, c.high, metric.kind)}){relative}"
    )
    if one.role == "guardrail":
        verdict = "harm is shown" if one.verdict == "harmed" else "no harm is shown"
        return f"{found}; {verdict} (one-sided p {_p(one.p_harm or 0.0)})."
    verdict = {"better": "better", "worse": "worse"}.get(one.verdict, "could be chance")
    return f"{found}; {verdict} (adjusted p {_p(one.p_adjusted or 0.0)})."


def _of_handling(metric: MetricData) -> list[str]:
    told = []
    if metric.cap is not None:
        told.append(f"{metric.name}: {metric.capped:,} values above {metric.cap:,.2f} were set to it.")
    if metric.cuped is not None:
        cut = f", which takes away {metric.cuped.variance_cut:.1%} of the variance" if metric.cuped.applied else ""
        told.append(f"{metric.name}: CUPED {metric.cuped.reason}{cut}.")
    return told


def plain(value: float, kind: str) -> str:
    """A mean: a rate in percent, anything else as a number."""
    return f"{value:.2%}" if kind == "binary" else f"{value:,.4g}"


def shown(value: float, kind: str) -> str:
    """A difference: of rates in points of a percent."""
    return f"{100 * value:+.2f} points" if kind == "binary" else f"{value:+,.4g}"


def interval(low: float, high: float, kind: str) -> str:
    """From one difference to another."""
    return f"{shown(low, kind).removesuffix(' points')} to {shown(high, kind)}"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"
