"""How commands speak: tables for people, JSON for programs, progress on standard error, errors that say what to do."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from resources.card_numbers import redact

# Where nobody looks at a terminal, a number must not be cut to its width.
out = Console(width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True)


class Format(StrEnum):
    """How a command prints its data."""

    table = "table"
    json = "json"


def print_json(value: Any) -> None:
    """JSON on standard output, nothing else with it. Amounts are numbers with their currency's digits."""
    print(to_json(value))


def to_json(value: Any) -> str:
    """The same as text."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=_plain)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A table on standard output; numbers stand to the right."""
    rows = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", header_style="bold", title_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], (int, Decimal, float, type(None))) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    for row in rows:
        table.add_row(*(_shown(value) for value in row))
    out.print(table)


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on standard error; quiet where that is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        yield bar


def fail(message: str) -> None:
    """An error for a person, on standard error."""
    err.print("[bold red]error:[/bold red]", end=" ")
    err.print(redact(message), markup=False, highlight=False)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, Decimal)):
        return f"{value:,}"
    # What others named, such as a product's title, may hold square brackets.
    return escape(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
