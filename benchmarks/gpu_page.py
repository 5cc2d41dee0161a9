"""What a run of `benchmarks.gpu` found, as a page that can be put into the documentation.

Belongs here: tables. Does not belong here: what is in them.
"""

from typing import Any

_ROWS = (
    "variant",
    "batch",
    "s a batch",
    "images/h",
    "TFLOP/s",
    "of measured",
    "of 790",
    "peak GB",
    "first s",
    "off",
    "MHz",
)
_LEVERS = ("lever", "from", "to", "predicted", "measured", "prediction")


def markdown(result: dict[str, Any]) -> str:
    """The page: when and on what, each variant's rates, each lever, and what was not measured."""
    parts = [_heading(result), _table(_ROWS, [_row(row) for row in result["rows"]], left=1)]
    parts.append(_table(_LEVERS, [_lever(lever) for lever in result["levers"]], left=3))
    if result["end_to_end"]:
        parts.append(_served(result["end_to_end"]))
    if result["skipped"]:
        parts.append("Not measured:\n\n" + "\n".join(f"- {each}" for each in result["skipped"]))
    return "\n\n".join(parts) + "\n"


def _heading(result: dict[str, Any]) -> str:
    plan, machine, work = result["plan"], result["machine"], result["work_tflop"]
    about = ", ".join(f"{name} {value}" for name, value in machine.items() if name != "device")
    ceilings = ", ".join(f"{name} {value:.4g}" for name, value in result["ceilings"].items())
    told = (
        f"{result['date']}, {machine['device']}. {about}.\n\n"
        f"Size {plan['size']}, {plan['side']}×{plan['side']}, {plan['steps']} steps with guidance: {work['picture']:.4g} TFLOP"
        f" a picture (UNet {work['unet']:.4g} each time it is asked, decoder {work['decode']:.4g};"
        f" {work['linear_share']:.0%} of the UNet in linear layers). Products of matrices reach, in TFLOP/s: {ceilings}."
        " Random weights: the rates are real, the pictures are not."
    )
    if plan["device"] == "cpu":
        told += "\n\n**On a CPU, at tiny size: this shows that all of it runs, and nothing of a card.**"
    return told


def _row(row: dict[str, Any]) -> list[str]:
    return [
        row["variant"],
        str(row["batch"]),
        f"{row['seconds']:.4g}",
        f"{row['images_per_hour']:,.0f}",
        f"{row['tflops']:.3g}",
        f"{row['of_measured']:.1%}",
        f"{row['of_nominal']:.1%}",
        f"{row['peak_bytes'] / 1e9:.2f}",
        f"{row['first_seconds']:.1f}",
        "" if row["off"] is None else f"{row['off']:.1e}",
        "" if row["clock"]["mhz"] is None else f"{row['clock']['mhz']:.0f}",
    ]


def _lever(lever: dict[str, Any]) -> list[str]:
    (before, batch), (after, batch_after) = lever["before"], lever["after"]
    return [
        lever["name"],
        f"{before}, {batch}",
        f"{after}, {batch_after}",
        f"{lever['predicted']:.2f}",
        f"{lever['measured']:.2f}",
        lever["source"],
    ]


def _served(served: dict[str, Any]) -> str:
    share = (
        ""
        if served["share"] is None
        else f", {served['share']:.0%} of the rate of `{served['engine']}` in such batches"
    )
    return (
        f"End to end: {served['clients']} clients, {served['images']} pictures in {served['seconds']:.1f} s over HTTP,"
        f" {served['images_per_hour']:,.0f} an hour{share}. One waits {served['median_wait']:.2f} s in the median,"
        f" {served['longest_wait']:.2f} s at most."
    )


def _table(columns: tuple[str, ...], rows: list[list[str]], left: int) -> str:
    """The first `left` columns stand at the left."""
    rules = ["---" if index < left else "---:" for index in range(len(columns))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rules, *rows))
