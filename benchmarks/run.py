"""Run the benchmarks: a table for people, `benchmarks/out/bench.json` for programs, exit code 1 when a target is missed."""

import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import (
    forecast,
    fraud,
    gateway,
    imports,
    ingest,
    ledger,
    publication,
    report,
    simulation,
    statements,
    valuation,
    vendor_calls,
    workflow,
)
from benchmarks.measure import Measured

OUT = Path(__file__).parent / "out" / "bench.json"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()
progress = Console(stderr=True)


class Name(StrEnum):
    """The benchmarks."""

    ingest = "ingest"
    report = "report"
    imports = "imports"
    workflow = "workflow"
    gateway = "gateway"
    publication = "publication"
    valuation = "valuation"
    vendor_calls = "vendor-calls"
    fraud = "fraud"
    ledger = "ledger"
    simulation = "simulation"
    statements = "statements"
    forecast = "forecast"


BENCHMARKS: dict[Name, Callable[[], Iterator[Measured]]] = {
    Name.ingest: ingest.run,
    Name.report: report.run,
    Name.imports: imports.run,
    Name.workflow: workflow.run,
    Name.gateway: gateway.run,
    Name.publication: publication.run,
    Name.valuation: valuation.run,
    Name.vendor_calls: vendor_calls.run,
    Name.fraud: fraud.run,
    Name.ledger: ledger.run,
    Name.simulation: simulation.run,
    Name.statements: statements.run,
    Name.forecast: forecast.run,
}


@app.command()
def main(
    only: Annotated[list[Name] | None, typer.Option(help="Run this one alone; may be given several times.")] = None,
) -> None:
    """Measure each beside a reference in the same call. Takes some minutes."""
    rows: list[Measured] = []
    for name in only or list(Name):
        for row in BENCHMARKS[name]():
            progress.print(f"{row.name}: {row.ratio:.2f}")
            rows.append(row)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([row.as_dict() for row in rows], indent=2) + "\n", encoding="utf-8")
    console.print(_table(rows))
    raise typer.Exit(0 if all(row.ok for row in rows) else 1)


def _table(rows: list[Measured]) -> Table:
    table = Table(title="Medians of interleaved pairs", title_justify="left")
    for column in ("benchmark", "unit"):
        table.add_column(column)
    for column in ("ours", "reference", "ratio", "target"):
        table.add_column(column, justify="right")
    table.add_column("ok")
    for row in rows:
        target = f"{'≥' if row.better == 'higher' else '≤'} {row.target:g}"
        digits = 0 if row.ours >= 1000 else 2
        numbers = (f"{row.ours:,.{digits}f}", f"{row.reference:,.{digits}f}", f"{row.ratio:.2f}")
        table.add_row(row.name, row.unit, *numbers, target, "yes" if row.ok else "[red]no[/red]")
    return table


if __name__ == "__main__":
    app()
