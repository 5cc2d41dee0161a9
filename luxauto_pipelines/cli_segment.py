"""`luxauto segment …`: who a rule holds for, and which features rules may speak of.

Belongs here: arguments, the lake's rows and tables. Does not belong here: rules and features (`assets/marketing/segments`).
"""

import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, note, say, today
from luxauto_pipelines.console import Format, print_json, print_table

if TYPE_CHECKING:
    import polars as pl

    from assets.marketing.segments.features import Features
    from assets.marketing.segments.rules import Rule
    from resources.lake import Lake

app = typer.Typer(help="Segments: rules about customers, and who they hold for.", no_args_is_help=True)

AsOfOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of reckoning; default: today.", show_default=False)
]


@app.command()
def preview(
    file: Annotated[
        Path | None, typer.Argument(help="YAML or JSON with name and rule; see docs/segments.md.", show_default=False)
    ] = None,
    criteria: Annotated[
        str | None, typer.Option(help="Instead of a file: the API's criteria as JSON.", show_default=False)
    ] = None,
    as_of: AsOfOption = None,
    examples: Annotated[int, typer.Option(min=0, max=100, help="How many customers are shown.")] = 5,
    format: FormatOption = Format.table,
) -> None:
    """How many customers a rule holds for, some of them, and the SQL; nothing is kept.

    Customers are named by the keyed hashes of the lake. What is counted are customers with an order by that day.
    """
    from assets.marketing.segments.preview import preview as look

    name, rule = _rule(file, criteria)
    found = look(rule, _features(as_of), examples)
    if format is Format.json:
        print_json({"name": name, **asdict(found), "rule": _plain(rule)})
        return
    for line in found.notes:
        note(line)
    share = "" if found.share is None else f" ({found.share:.1%})"
    say(f"{name}: {found.count:,} of {found.customers:,} customers{share} on {found.as_of}; version {found.version}")
    if found.examples:
        shown = [[_shown(value) for value in row.values()] for row in found.examples]
        print_table("examples", found.examples[0], shown)
    say(found.sql)
    say(f"parameters: {', '.join(map(repr, found.parameters)) or 'none'}")


@app.command()
def features(as_of: AsOfOption = None, format: FormatOption = Format.table) -> None:
    """Which features rules may speak of, what each means, and of how many customers it is known."""
    from assets.marketing.segments.catalogue import FEATURES, OPERATORS
    from resources.lake import MissingAsset

    try:
        computed = _features(as_of)
    except MissingAsset as error:
        note(str(error))
        computed = None
    known = computed.frame.count().row(0, named=True) if computed else {}
    rows = [
        {
            "feature": one.name,
            "group": one.group.value,
            "kind": one.kind,
            "operators": list(OPERATORS[one.kind]),
            "values": list(one.values),
            "known": known.get(one.name),
            "meaning": one.meaning,
        }
        for one in FEATURES.values()
    ]
    if format is Format.json:
        models = {
            "bg_nbd": asdict(computed.model) if computed and computed.model else None,
            "gamma_gamma": asdict(computed.value_model) if computed and computed.value_model else None,
            "unpredicted": computed.unpredicted if computed else None,
        }
        print_json(
            {
                "customers": computed.frame.height if computed else None,
                "as_of": computed.as_of if computed else None,
                "features": rows,
                "models": models,
            }
        )
        return
    columns = ("feature", "group", "kind", "known", "meaning")
    print_table("features", columns, ([row[column] for column in columns] for row in rows))
    if computed and computed.unpredicted:
        note(computed.unpredicted)


def _rule(file: Path | None, criteria: str | None) -> "tuple[str, Rule]":
    from assets.marketing.segments.criteria import rule_of
    from assets.marketing.segments.errors import SegmentError
    from assets.marketing.segments.rules import read_segment

    if (file is None) == (criteria is None):
        raise SegmentError("give either a FILE with a rule, or --criteria")
    if criteria is not None:
        try:
            return "criteria", rule_of(json.loads(criteria))
        except ValueError as error:
            raise SegmentError(f"--criteria: it is no JSON ({error}). Put it in single quotes in the shell.") from error
    assert file is not None
    try:
        segment = read_segment(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SegmentError(f"{file}: it cannot be read as text ({error}). Check the path.") from error
    except SegmentError as error:
        raise SegmentError(f"{file}: {error}") from error
    return segment.name, segment.rule


def _plain(rule: "Rule") -> dict[str, Any]:
    from assets.marketing.segments.rules import plain

    return plain(rule)


def _features(as_of: datetime | None) -> "Features":
    from assets.finance.money import exponent
    from assets.marketing.segments.features import customer_features
    from luxauto_pipelines.instance import reload
    from resources.lake import Lake

    books = reload()
    base = books.settings.current.base_currency
    lake = Lake(books.settings.lake_url, books.settings.brand)
    day: date = as_of.date() if as_of else today(books)
    return customer_features(_lines(lake, base), day, exponent(base), categories=_categories(lake))


def _lines(lake: "Lake", base: str) -> "pl.DataFrame":
    import polars as pl

    from assets.finance.fx import RATIOS, convert
    from assets.marketing.segments.features import LINES
    from resources.lake import MissingAsset

    lines = lake.read("transactions")
    try:
        rates = lake.read("fx_rates")
    except MissingAsset:
        # Lines in the base currency need none; the others are counted as left out.
        rates = pl.DataFrame(schema=RATIOS)
    return convert(lines, rates, base, "amount_minor", "base_amount_minor").select(*LINES)


def _categories(lake: "Lake") -> "pl.DataFrame | None":
    from resources.lake import MissingAsset

    try:
        return lake.read("catalog").select("sku", "category")
    except MissingAsset:
        return None


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 10 else f"{value:,.2f}"
    return ", ".join(value) if isinstance(value, list) else value
