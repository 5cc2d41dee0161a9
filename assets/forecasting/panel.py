"""The panel that models read: every series beside the others on one calendar.

Belongs here: reading a long table into an array, and what makes it unusable. Does not belong here: what counts as demand
(`demand`), and the models.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
COLUMNS = ("unique_id", "ds", "y")
KNOWN = ("holidays", "sales_period", "promotion")
"""What is known of a day in advance."""
_TIME = r"[ T]\d\d:\d\d.*$"
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


class InvalidPanel(ValueError):
    """A table that no forecast can be made of; the message names the column and the remedy."""


@dataclass(frozen=True)
class Frequency:
    """How far apart the periods of a panel lie.

    name: as pandas writes it, `D` or `W-MON` to `W-SUN`. season: periods after which a pattern repeats, 1 for none.
    week: periods in a week. Windows of models are counted in weeks.
    """

    name: str
    step: timedelta
    season: int
    week: int

    @classmethod
    def parse(cls, name: str) -> "Frequency":
        """Raises InvalidPanel for a name other than D and W-MON to W-SUN."""
        if name == "D":
            return cls(name, timedelta(days=1), season=7, week=7)
        if name.startswith("W-") and name[2:] in _WEEKDAYS:
            return cls(name, timedelta(weeks=1), season=1, week=1)
        raise InvalidPanel(f"freq {name!r} is not known: use D for days, or W-MON to W-SUN for weeks")

    @property
    def anchor(self) -> int | None:
        """The weekday (Monday 0) that a week is called by; none for days."""
        return _WEEKDAYS.index(self.name[2:]) if self.name != "D" else None


@dataclass(frozen=True)
class Panel:
    """Series of counts on one calendar.

    y: (series, periods), units a period; NaN before a series begins, and nowhere after. known: (regressors, periods and
    those to come), what is known of every period in advance, such as holidays.
    """

    ids: tuple[str, ...]
    first: date
    freq: Frequency
    y: Floats
    known: Floats | None = None

    @property
    def periods(self) -> int:
        """How many periods the calendar has."""
        return self.y.shape[1]

    def day(self, period: int) -> date:
        """The date of a period, also of one to come."""
        return self.first + self.freq.step * period

    def period(self, day: date) -> int:
        """Which period a date is; may lie outside of the panel."""
        return (day - self.first) // self.freq.step

    def until(self, period: int) -> "Panel":
        """What was known at the end of period `period - 1`: a copy, so that nothing later can be seen."""
        ahead = self.known.shape[1] - self.periods if self.known is not None else 0
        known = None if self.known is None else self.known[:, : period + ahead]
        return replace(self, y=self.y[:, :period].copy(), known=known)

    def some(self, rows: NDArray[np.int64]) -> "Panel":
        """Some of the series."""
        return replace(self, ids=tuple(self.ids[row] for row in rows), y=self.y[rows])

    def ages(self) -> NDArray[np.int64]:
        """How many periods each series has."""
        return np.isfinite(self.y).sum(axis=1)

    def snapshot(self) -> str:
        """A name for just this content: the same data give the same one."""
        digest = hashlib.sha256(f"{self.first}|{self.freq.name}|{self.y.shape}".encode())
        digest.update("\x1f".join(self.ids).encode())
        digest.update(np.ascontiguousarray(self.y).tobytes())
        digest.update(b"" if self.known is None else np.ascontiguousarray(self.known).tobytes())
        return digest.hexdigest()[:16]


def with_calendar(panel: Panel, horizon: int, country: str, promotions: pl.DataFrame | None = None) -> Panel:
    """The panel with the public holidays, sales periods and promotions of its periods and the `horizon` after: shares of days.

    `promotions`: first and last day of each, as `calendar.week_features` takes them. Raises InvalidPanel for a country that is
    not known.
    """
    from assets.forecasting.calendar import day_features

    first, last = panel.day(0), panel.day(panel.periods + horizon)
    try:
        days = day_features(first, last, country, promotions)
    except ValueError as error:
        raise InvalidPanel(str(error)) from error
    length = panel.freq.step.days
    shares = days.select(KNOWN).to_numpy()[: (panel.periods + horizon) * length]
    return replace(panel, known=shares.reshape(panel.periods + horizon, length, len(KNOWN)).mean(axis=1).T.copy())


def read_panel(table: pl.DataFrame, freq: str) -> Panel:
    """The panel of a long table with the columns unique_id, ds (date) and y (units, 0 or more).

    A series begins with its first row. Periods without a row after that are zeros: nothing was sold. Raises InvalidPanel.
    """
    frequency = Frequency.parse(freq)
    rows = _checked(table, frequency)
    if rows.is_empty():
        raise InvalidPanel("the table has no rows: a forecast needs a history")
    days = rows["ds"].unique().sort().to_list()
    first, last = days[0], days[-1]
    ids = tuple(rows["unique_id"].unique().sort())
    row_of = {name: n for n, name in enumerate(ids)}
    periods = (last - first) // frequency.step + 1
    y = np.zeros((len(ids), periods))
    at = rows.select(
        row=pl.col("unique_id").replace_strict(row_of, return_dtype=pl.Int64),
        period=(pl.col("ds") - first).dt.total_days() // frequency.step.days,
        y=pl.col("y"),
    )
    y[at["row"].to_numpy(), at["period"].to_numpy()] = at["y"].to_numpy()
    begins = at.group_by("row").agg(pl.col("period").min()).sort("row")["period"].to_numpy()
    y[np.arange(periods)[None, :] < begins[:, None]] = np.nan
    return Panel(ids, first, frequency, y)


def _checked(table: pl.DataFrame, freq: Frequency) -> pl.DataFrame:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InvalidPanel(
            f"the table lacks the column {', '.join(missing)}: it needs unique_id, ds and y, a row a period"
        )
    ds = table["ds"]
    try:
        # One way to write a date: 01/02/2026 is a day in January to some and in February to others.
        text = ds.dtype == pl.String
        days = ds.str.replace(_TIME, "").str.to_date("%Y-%m-%d") if text else ds.cast(pl.Date)
        rows = table.select(pl.col("unique_id").cast(pl.String), days.alias("ds"), pl.col("y").cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        words = str(error).splitlines()[0]
        raise InvalidPanel(f"ds must be dates (2026-11-23) and y numbers: {words}") from error
    _refuse("unique_id, ds or y", "is empty", rows.filter(pl.any_horizontal(pl.all().is_null())))
    _refuse("y", "is no number of 0 or more", rows.filter(~(pl.col("y").is_finite() & (pl.col("y") >= 0))))
    if freq.anchor is not None:
        wrong = rows.filter(pl.col("ds").dt.weekday() != freq.anchor + 1)
        _refuse("ds", f"is not a day that weeks of {freq.name} are called by", wrong)
    elif rows["ds"].n_unique() > 1 and rows["ds"].dt.weekday().n_unique() == 1:
        name = _WEEKDAYS[rows["ds"][0].weekday()]
        raise InvalidPanel(f"ds is always the same weekday, so these are weeks and no days: use freq W-{name}")
    _refuse("ds", "stands there twice for its series", rows.filter(rows.select("unique_id", "ds").is_duplicated()))
    return rows


def _refuse(column: str, problem: str, rows: pl.DataFrame) -> None:
    if rows.height:
        some: dict[str, Any] = rows.row(0, named=True)
        more = f", and {rows.height - 1} rows more" if rows.height > 1 else ""
        raise InvalidPanel(f"{column} {problem}: unique_id {some['unique_id']!r}, ds {some['ds']}, y {some['y']}{more}")
