"""How good forecasts are and what they cost, beside twelve reference models on the same real series in the same call.

120 weekly series, eight weeks ahead from four origins eight weeks apart (`online_retail`). `make bench-forecast` takes three
choices of series and writes all models to `benchmarks/out/forecast.md`. Each model has a process of its own with one thread.
"""

import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from assets.forecasting.demand_class import NAMES, demand_classes
from assets.forecasting.evaluate import evaluate, with_actuals
from assets.forecasting.members import Memory
from assets.forecasting.panel import Panel, read_panel
from assets.forecasting.scores import QUANTILE_COLUMNS, Scores, score
from benchmarks import forecast_references as references
from benchmarks.measure import Measured, medians
from benchmarks.online_retail import FILE, FREQ, some_series, weekly_sales

OURS = "luxauto"
HORIZON, ORIGINS, STEP = 8, 4, 8
SEEDS = (0, 1, 2)
PAIRS = 3
OF_BEST, OF_PROPHET, WAPE_OF_BEST = 0.96, 0.94, 1.0
STRONGEST = (references.DIRECT, "DynamicOptimizedTheta")
COVERAGES = (("coverage_80", 0.80, 0.03), ("coverage_95", 0.95, 0.02))
CLASS_DISTANCE = 0.08
CPU_TARGET, REFIT_TARGET, GROWTH_TARGET = 4.0, 0.02, 1.2
MANY, FEW, WEEKS = 5_000, 500, 104
PACKAGES = ("prophet", "statsforecast", "lightgbm", "numpy", "scipy", "polars", "pandas")
OUT = Path(__file__).parent / "out" / "forecast.md"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")
progress = Console(stderr=True)


@dataclass(frozen=True)
class Entry:
    """A model's scores, overall, by demand class and by origin, and the CPU seconds of all its forecasts for 100 series."""

    model: str
    overall: Scores
    by_class: dict[str, Scores | None]
    by_cutoff: dict[date, Scores | None]
    cpu_seconds: float


def run() -> Iterator[Measured]:
    """Rows for the first choice of series: errors, coverage, CPU, refitting, and cost of many series."""
    if not FILE.is_file():
        progress.print(f"[bold red]forecast is NOT measured[/bold red]: there is no {FILE}")
        return
    sales = some_series(weekly_sales(), SEEDS[0])
    yield from rows_of(compared(sales))
    yield from _costs(sales)[0]


def main() -> None:
    """All choices of series, every model: rows, and a page to be put into the documentation."""
    if not FILE.is_file():
        raise SystemExit(f"there is no {FILE}: put UCI Online Retail II there as Parquet")
    sales, rows, found = weekly_sales(), list[Measured](), dict[int, list[Entry]]()
    for seed in SEEDS:
        found[seed] = compared(some_series(sales, seed))
        for row in rows_of(found[seed]):
            rows.append(row)
            progress.print(f"choice {seed}, {row.name}: {row.ratio:.3f} {'' if row.ok else 'MISSED'}")
    costs, notes = _costs(some_series(sales, SEEDS[0]))
    for row in costs:
        progress.print(f"{row.name}: {row.ratio:.3f} {'' if row.ok else 'MISSED'}")
    OUT.parent.mkdir(exist_ok=True)
    page = _page(found, costs, [*notes, "", *other_origins(some_series(sales, SEEDS[0]))])
    OUT.write_text(page, encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))
    raise SystemExit(0 if all(row.ok for row in [*rows, *costs]) else 1)


def compared(sales: pl.DataFrame) -> list[Entry]:
    """Ours first, then all references, by the same scores of the same rows."""
    entries = [_alone(_ours, sales)]
    for name in references.NAMES:
        entries.append(_alone(_reference, sales, name))
        progress.print(f"{name}: pinball {entries[-1].overall.weighted_pinball:.4f}")
    return entries


def rows_of(entries: list[Entry]) -> Iterator[Measured]:
    """Pinball and WAPE beside the best reference (of each measure its own), and how far coverage is from its name."""
    ours, others = entries[0], entries[1:]
    pinball = {entry.model: _known(entry.overall.weighted_pinball) for entry in entries}
    best = min(pinball[entry.model] for entry in others)
    yield Measured("forecast-pinball", "of units", pinball[OURS], best, OF_BEST, "lower")
    prophet = pinball[references.PROPHET]
    yield Measured("forecast-pinball-prophet", "of units", pinball[OURS], prophet, OF_PROPHET, "lower")
    wape = min(_known(entry.overall.wape) for entry in others)
    yield Measured("forecast-wape", "of units", _known(ours.overall.wape), wape, WAPE_OF_BEST, "lower")
    for name, nominal, allowed in COVERAGES:
        distance = abs(getattr(ours.overall, name) - nominal)
        yield Measured(f"forecast-{name.replace('_', '-')}", f"from {nominal:.2f}", distance, allowed, 1.0, "lower")
    for kind, scores in ours.by_class.items():
        assert scores is not None
        distance = abs(scores.coverage_80 - 0.8)
        yield Measured(f"forecast-coverage-80-{kind}", "from 0.80", distance, CLASS_DISTANCE, 1.0, "lower")


def _known(value: float | None) -> float:
    if value is None:
        raise RuntimeError("nothing was sold in the periods that are scored")
    return value


def _ours(sales: pl.DataFrame) -> Entry:
    _evaluated(sales.filter(pl.col("unique_id").is_in(sales["unique_id"].unique().sort().head(12).to_list())))
    found = _evaluated(sales)
    return Entry(OURS, found.overall, found.by_class, found.by_cutoff, 100 * found.cpu_seconds / found.series)


def _evaluated(sales: pl.DataFrame, memory: Memory | None = None) -> Any:
    return evaluate(sales, freq=FREQ, horizon=HORIZON, origins=ORIGINS, step=STEP, memory=memory)


def _reference(sales: pl.DataFrame, name: str) -> Entry:
    panel = read_panel(sales, FREQ)
    origins = _origins(panel)
    told, spent = references.forecast(name, panel, HORIZON, origins)
    scored = with_actuals(
        pl.concat(_table(panel, origin, one) for origin, one in zip(origins, told, strict=True)), panel
    )
    kind = dict(zip(panel.ids, (NAMES[n] for n in demand_classes(panel.y)), strict=True))
    named = scored.with_columns(pl.col("unique_id").replace_strict(kind).alias("class"))
    overall = score(scored)
    assert overall is not None
    by_class = {name: score(named.filter(pl.col("class") == name)) for name in NAMES}
    days = [panel.day(origin - 1) for origin in origins]
    by_cutoff = {day: score(scored.filter(pl.col("cutoff") == day)) for day in days}
    return Entry(name, overall, by_class, by_cutoff, 100 * spent / len(panel.ids))


def _origins(panel: Panel) -> list[int]:
    return [panel.periods - HORIZON - STEP * back for back in range(ORIGINS - 1, -1, -1)]


def _table(panel: Panel, origin: int, told: Any) -> pl.DataFrame:
    """A reference's forecasts as ours are written."""
    series = len(panel.ids)
    return pl.DataFrame(
        {
            "unique_id": np.repeat(np.array(panel.ids, dtype=object), HORIZON),
            "cutoff": [panel.day(origin - 1)] * (series * HORIZON),
            "ds": [panel.day(origin + step) for step in range(HORIZON)] * series,
            "mean": told[..., 0].reshape(-1),
            **{name: told[..., 1 + n].reshape(-1) for n, name in enumerate(QUANTILE_COLUMNS)},
        },
        schema_overrides={"unique_id": pl.String},
    )


def other_origins(sales: pl.DataFrame) -> list[str]:
    """The same from origins one to seven weeks earlier: how much of the gain lies in where the origins happen to lie.

    Beside the two references that are best from the usual ones.
    """
    end = sales["ds"].to_list()[-1]
    lines = [
        f"| weeks earlier | pinball, ours / {STRONGEST[0]} | / {STRONGEST[1]} | WAPE, ours / best of both | 80 % | 95 % |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for weeks in range(STEP):
        earlier = sales.filter(pl.col("ds") <= end - timedelta(weeks=weeks))
        ours: Entry = _alone(_ours, earlier)
        others: list[Entry] = [_alone(_reference, earlier, name) for name in STRONGEST]
        ratios = [_known(ours.overall.weighted_pinball) / _known(other.overall.weighted_pinball) for other in others]
        wape = _known(ours.overall.wape) / min(_known(other.overall.wape) for other in others)
        numbers = (*ratios, wape, ours.overall.coverage_80, ours.overall.coverage_95)
        lines.append(f"| {weeks} | {' | '.join(f'{number:.3f}' for number in numbers)} |")
        progress.print(lines[-1])
    return lines


def _costs(sales: pl.DataFrame) -> tuple[list[Measured], list[str]]:
    """Rows, and what they leave unsaid."""
    cpu, trio = _alone(_pairs, sales)
    members, whole = _alone(_refits, sales)
    few, _, least = _alone(_many, FEW)
    many, seconds, peak = _alone(_many, MANY)
    rows = [
        Measured("forecast-cpu", "CPU s / 100", cpu, trio, CPU_TARGET, "lower"),
        Measured("forecast-refit", "ms", 1000 * whole[1], 1000 * whole[0], REFIT_TARGET, "lower"),
        Measured("forecast-cost-of-many", "CPU s / 100", many, few, GROWTH_TARGET, "lower"),
    ]
    share, all_of = members[1] / members[0], whole[1] / whole[0]
    times = 100_000 / MANY
    minutes = times * many * MANY / 100 / 60
    notes = [
        f"- Refitting an unchanged snapshot costs {all_of:.1%} of the first time ({1000 * whole[0]:.0f} ms, then "
        f"{1000 * whole[1]:.0f}); of the members alone, where a further origin is asked for, {share:.1%}.",
        f"- {MANY:,} invented series of {WEEKS} weeks as one panel, {ORIGINS} origins: {seconds:.0f} s, "
        f"{many:.2f} CPU s for 100, peak memory {peak:.0f} MB ({FEW:,} series: {few:.2f} CPU s for 100 and {least:.0f} MB, "
        "most of it libraries).",
        f"- 100,000 series were not run. By proportion they take {minutes:.0f} CPU minutes. As shards of "
        "2,000 series each worker needs less memory than the above; as one panel it would be "
        f"{times * (peak - least) / 1000:.1f} GB and the libraries.",
    ]
    return rows, notes


def _pairs(sales: pl.DataFrame) -> tuple[float, float]:
    """CPU seconds for 100 series, ours and AutoETS + DynamicOptimizedTheta + CrostonSBA, all origins."""
    panel = read_panel(sales, FREQ)
    per = 100 / len(panel.ids)

    def reference() -> None:
        fresh = read_panel(sales, FREQ)
        for origin in _origins(fresh):
            references.trio(fresh.until(origin), HORIZON)

    references.trio(panel.some(np.arange(8)), HORIZON)
    _ours(sales)
    return medians(lambda: per * _cpu(lambda: _evaluated(sales)), lambda: per * _cpu(reference), PAIRS)


def _refits(sales: pl.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """CPU seconds of the first and second time: of the members alone, and of the whole evaluation."""
    panel = read_panel(sales, FREQ)
    # The origins that four evaluated ones look back to.
    origins = range(panel.periods - HORIZON, 0, -STEP)
    _ours(sales)
    with tempfile.TemporaryDirectory() as folder:

        def members() -> None:
            memory = Memory(Path(folder) / "members.parquet")
            for origin in origins:
                memory.members_of(panel.until(origin), HORIZON)
            memory.save()

        def whole() -> None:
            memory = Memory(Path(folder) / "whole.parquet")
            _evaluated(sales, memory)
            memory.save()

        return (_cpu(members), _cpu(members)), (_cpu(whole), _cpu(whole))


def _many(series: int) -> tuple[float, float, float]:
    """CPU seconds for 100 series, seconds of all, peak memory of the process in MB."""
    sales = invented_sales(series)
    began = time.perf_counter()
    spent = _cpu(lambda: _evaluated(sales))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return 100 * spent / series, time.perf_counter() - began, peak


def invented_sales(series: int, weeks: int = WEEKS, seed: int = 0) -> pl.DataFrame:
    """Series of all four classes with a season in common: unique_id, ds, y."""
    random = np.random.default_rng(seed)
    selling = random.choice([0.95, 0.95, 0.4, 0.4], series)[:, None]
    spread = random.choice([0.2, 1.2], series)[:, None]
    level = random.lognormal(2.0, 1.0, series)[:, None]
    season = 1 + 0.4 * np.sin(2 * np.pi * np.arange(weeks) / 52)
    units = random.poisson(level * season * random.gamma(1 / spread, spread, (series, weeks)))
    y = np.where(random.random((series, weeks)) < selling, units, 0)
    first = date(2024, 1, 1)
    return pl.DataFrame(
        {
            "unique_id": np.repeat([f"sku-{n:06}" for n in range(series)], weeks),
            "ds": [first + timedelta(weeks=n) for n in range(weeks)] * series,
            "y": y.reshape(-1).astype(float),
        }
    )


def _cpu(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _alone(work: Callable[..., Any], *given: Any) -> Any:
    """What a fresh process with one thread makes of it."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(work, *given).result()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _page(found: dict[int, list[Entry]], costs: list[Measured], notes: list[str]) -> str:
    """Markdown: ratios by choice of series, costs, and a table of all models for each choice."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [f"{datetime.now(UTC).date()}, Python {platform.python_version()}, {packages}.", ""]
    lines += [
        f"| | target | {' | '.join(f'seed {seed}' for seed in found)} |",
        f"| --- | --- |{' ---: |' * len(found)}",
    ]
    by_seed = [list(rows_of(entries)) for entries in found.values()]
    for rows in zip(*by_seed, strict=True):
        cells = (f"{row.ratio:.3f}{'' if row.ok else ' **missed**'}" for row in rows)
        lines.append(f"| {rows[0].name} | {rows[0].target:g} | {' | '.join(cells)} |")
    lines += ["", "| cost | ours | reference | ratio | target |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {row.name}, {row.unit} | {row.ours:.2f} | {row.reference:.2f} | "
        f"{row.ratio:.3f}{'' if row.ok else ' **missed**'} | {row.target:g} |"
        for row in costs
    ]
    lines += ["", *notes]
    lines += ["", *_by_origin(found)]
    titles = (
        "model",
        "WAPE",
        "bias",
        "RMSSE",
        "pinball",
        "80 %",
        *(f"80 % {name}" for name in NAMES),
        "95 %",
        "CPU s/100",
    )
    for seed, entries in found.items():
        lines += ["", f"### Seed {seed}", "", f"| {' | '.join(titles)} |", f"| --- |{' ---: |' * (len(titles) - 1)}"]
        lines += [_line(entry) for entry in sorted(entries, key=lambda entry: _known(entry.overall.weighted_pinball))]
    return "\n".join(lines) + "\n"


def _by_origin(found: dict[int, list[Entry]]) -> list[str]:
    """Ours over the reference that is best at each origin, of each measure its own: where the gain comes from."""
    days = list(next(iter(found.values()))[0].by_cutoff)
    lines = [f"| pinball by origin | {' | '.join(map(str, days))} |", f"| --- |{' ---: |' * len(days)}"]
    for seed, entries in found.items():
        cells = []
        for day in days:
            losses = [
                (_known(scores.weighted_pinball), entry.model)
                for entry in entries
                for scores in [entry.by_cutoff[day]]
                if scores is not None
            ]
            best, name = min(losses[1:])
            cells.append(f"{losses[0][0] / best:.3f} of {name}")
        lines.append(f"| seed {seed} | {' | '.join(cells)} |")
    return lines


def _line(entry: Entry) -> str:
    of = entry.overall
    held = [
        of.coverage_80,
        *(scores.coverage_80 if scores else None for scores in entry.by_class.values()),
        of.coverage_95,
    ]
    numbers = [of.wape, of.bias, of.rmsse]
    cells = [f"{number:.3f}" for number in numbers if number is not None]
    cells += [f"{_known(of.weighted_pinball):.4f}", *("" if share is None else f"{share:.3f}" for share in held)]
    return f"| {entry.model} | {' | '.join(cells)} | {entry.cpu_seconds:.2f} |"


if __name__ == "__main__":
    # By its own name, so that other processes find what they are sent.
    from benchmarks.forecast import main as named

    named()
