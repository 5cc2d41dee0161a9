"""`luxauto attribution`: which channel brought what was bought.

Belongs here: arguments, files and tables. Does not belong here: models and holdouts (`assets/marketing/attribution`).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, note, say
from luxauto_pipelines.console import Format, print_json, print_table

if TYPE_CHECKING:
    import polars as pl

    from assets.marketing.attribution.credit import Attribution, Credit
    from assets.marketing.attribution.holdouts import Incremental, Side


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("attribution")(attribution)


def attribution(
    file: Annotated[
        Path,
        typer.Argument(
            help="Rows of path, conversions, conversion value, null paths; or of customer, time, channel, conversion, value.",
            show_default=False,
        ),
    ],
    holdout: Annotated[
        Path | None,
        typer.Option(
            help="Rows of channel, treated_n, treated_conversions, holdout_n, holdout_conversions; treated_value and "
            "holdout_value, treated_value_sd and holdout_value_sd where known.",
            show_default=False,
        ),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="Of the values; default: the brand's.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="ROLE=COLUMN where a column is called otherwise, such as path=journey_text; may be repeated."
        ),
    ] = None,
    separator: Annotated[str, typer.Option(help="Between the channels of a path.")] = ">",
    half_life: Annotated[float, typer.Option(help="Time decay: days after which a touch counts half.")] = 7.0,
    half_life_touches: Annotated[float, typer.Option(help="The same in touches, where times are not known.")] = 1.0,
    first_share: Annotated[float, typer.Option(help="Position based: share of the first touch.")] = 0.4,
    last_share: Annotated[float, typer.Option(help="Position based: share of the last touch.")] = 0.4,
    window: Annotated[
        float | None, typer.Option(help="Days before a purchase within which touches count; default: all.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of the holdouts' intervals.")] = 0.95,
    format: FormatOption = Format.table,
) -> None:
    """Credit by seven models, each summing to revenue net of returns to the cent, beside what holdouts show."""
    from assets.finance.money import exponent
    from assets.marketing.attribution.credit import attribute
    from assets.marketing.attribution.models import Settings
    from assets.marketing.attribution.tables import holdouts_of_table, journeys_of_table
    from resources.settings import load_settings

    currency = currency or load_settings().current.base_currency
    digits = exponent(currency)
    settings = Settings(half_life, half_life_touches, first_share, last_share)
    journeys = journeys_of_table(_read(file), digits, columns=_pairs(column), separator=separator, window_days=window)
    incremental = holdouts_of_table(_read(holdout), digits, confidence) if holdout else {}
    found = attribute(journeys, settings, incremental)
    if format is Format.json:
        print_json({"file": str(file), **as_json(found, currency)})
        return
    _print(found, currency)


def as_json(found: "Attribution", currency: str) -> dict[str, Any]:
    """What the command answers, and the gateway may; amounts with the currency's digits."""
    from assets.finance.money import to_decimal
    from assets.marketing.attribution.models import SHAPLEY_GAME

    journeys, settings = found.journeys, found.settings
    by_days = journeys.age_days is not None
    totals = {
        "conversions": journeys.total_conversions,
        "value": to_decimal(journeys.total_value_minor, currency),
    }
    return {
        "currency": currency,
        **totals,
        "returned_value": to_decimal(journeys.returned_minor, currency),
        "null_paths": journeys.total_nulls,
        "conversion_rate": found.removal.base,
        "touches": int(journeys.codes.size),
        "distinct_paths" if not by_days else "journeys": int(journeys.lengths.size),
        "without_touch": {
            "conversions": journeys.untouched_conversions,
            "value": to_decimal(journeys.untouched_minor, currency),
        },
        "channels": list(journeys.channels),
        "models": {
            model: {**totals, "channels": {channel: _credit(one, totals, currency) for channel, one in credits.items()}}
            for model, credits in found.credits.items()
        },
        "removal_effects": dict(zip(journeys.channels, found.removal.effects.tolist(), strict=True)),
        "incremental": {channel: _incremental(one, currency) for channel, one in found.incremental.items()},
        "settings": {
            "time_decay": {
                "by": "days" if by_days else "position",
                "half_life": settings.half_life_days if by_days else settings.half_life_touches,
                "unit": "days" if by_days else "touches",
            },
            "position_based": {"first": settings.first_share, "last": settings.last_share},
            "shapley_game": SHAPLEY_GAME,
        },
        "notes": notes(found),
    }


def notes(found: "Attribution") -> list[str]:
    """What to know before these numbers are believed."""
    journeys, told = found.journeys, []
    if journeys.age_days is None:
        told.append("Times are not known, so time decay counts touches back from the last one.")
    if not journeys.total_nulls:
        told.append("There are no null paths: Markov takes everybody to have converted, and its rate is 1.")
    if journeys.untouched_conversions:
        told.append(f"{journeys.untouched_conversions:,} conversions had no touch before them and are in no model.")
    without = [channel for channel in journeys.channels if channel not in found.incremental]
    if without:
        told.append(f"No holdout for {', '.join(without)}: their credit is not shown to be incremental.")
    if unseen := [channel for channel in found.incremental if channel not in journeys.channels]:
        told.append(f"Holdouts of channels that no journey touched: {', '.join(unseen)}.")
    for channel, one in found.incremental.items():
        low, high = one.conversions_interval
        if low <= 0 <= high:
            told.append(f"The holdout of {channel} does not show that it adds anything: the interval includes 0.")
        if not one.value_known:
            told.append(f"The holdout of {channel} has no values: its value is calibrated as its conversions are.")
    return told


def _credit(one: "Credit", totals: Mapping[str, Any], currency: str) -> dict[str, Any]:
    from assets.finance.money import to_decimal
    from assets.marketing.attribution.credit import MICRO

    told: dict[str, Any] = {
        "conversions": Decimal(one.conversions_micro) / MICRO,
        "value": to_decimal(one.value_minor, currency),
        "share": one.conversions_micro / MICRO / totals["conversions"],
        "calibrated_conversions": None,
        "calibrated_value": None,
    }
    if one.calibrated_conversions_micro is not None and one.calibrated_value_minor is not None:
        told["calibrated_conversions"] = Decimal(one.calibrated_conversions_micro) / MICRO
        told["calibrated_value"] = to_decimal(one.calibrated_value_minor, currency)
    return told


def _incremental(one: "Incremental", currency: str) -> dict[str, Any]:
    def amount(minor: float | None) -> Decimal | None:
        from assets.finance.money import to_decimal

        return None if minor is None else to_decimal(round(minor), currency)

    def side(told: "Side") -> dict[str, Any]:
        return {"n": told.n, "conversions": told.conversions, "value": amount(told.value_minor)}

    return {
        "treated": side(one.treated),
        "holdout": side(one.holdout),
        "confidence": one.confidence,
        "rate_difference": one.rate_difference,
        "conversions": one.conversions,
        "conversions_ci": one.conversions_interval,
        "ratio": one.conversions_ratio,
        "ratio_ci": one.conversions_ratio_interval,
        "value": amount(one.value_minor),
        "value_ci": None if one.value_interval is None else [amount(limit) for limit in one.value_interval],
        "value_ratio": one.value_ratio,
        "value_ratio_from": "value" if one.value_known else "conversions",
    }


def _print(found: "Attribution", currency: str) -> None:
    from assets.finance.money import format_amount, to_decimal

    journeys = found.journeys
    rows = []
    for channel in journeys.channels:
        shown = found.incremental.get(channel)
        added = "–" if shown is None else f"{shown.conversions:,.1f} ({shown.conversions_ratio:.0%} of treated)"
        values = (to_decimal(credits[channel].value_minor, currency) for credits in found.credits.values())
        rows.append([channel, *values, added])
    totals = [to_decimal(sum(one.value_minor for one in c.values()), currency) for c in found.credits.values()]
    columns = ["channel", *(model.replace("_", " ") for model in found.credits), "incremental conversions"]
    title = (
        f"{currency}: {format_amount(journeys.total_value_minor, currency)}, {journeys.total_conversions:,} conversions"
    )
    print_table(title, columns, [*rows, ["all", *totals, ""]])
    for line in notes(found):
        say(line)


def _read(file: Path) -> "pl.DataFrame":
    from assets.marketing.attribution.errors import AttributionError
    from resources.tables import read_table

    source = read_table(file)
    if source.ragged.height:
        raise AttributionError(
            f"{file} has {source.ragged.height:,} rows with more or fewer cells than its header, first row "
            f"{source.ragged['row_number'][0]}. Export it again."
        )
    if source.withheld.height:
        note(f"{source.withheld.height:,} rows hold what looks like payment card data and are left out.")
    return source.rows


def _pairs(given: Sequence[str] | None) -> dict[str, str]:
    from assets.marketing.attribution.errors import AttributionError

    pairs = {}
    for text in given or ():
        role, equals, name = text.partition("=")
        if not equals or not role.strip() or not name.strip():
            raise AttributionError(f"--column {text!r} is not understood. Write ROLE=COLUMN.")
        pairs[role.strip()] = name.strip()
    return pairs
