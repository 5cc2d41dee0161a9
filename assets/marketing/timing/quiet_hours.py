"""Quiet hours: whether a message may arrive at an instant, and the next instant at which it may.

Belongs here: the table of hours and local time. Does not belong here: which hour is best (`best_hour`), or law: see the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from assets.marketing.timing.errors import TimingError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
HORIZON = timedelta(days=15)
"""Rules repeat every week, so two weeks without an allowed minute never end."""

Window = tuple[int, int]


@dataclass(frozen=True)
class Hours:
    """Allowed minutes of each weekday from Monday on: [first, end) after midnight by the clock on the wall, or None."""

    week: tuple[Window | None, ...]
    source: str = ""

    def allow(self, local: datetime) -> bool:
        """Whether the time on the wall is allowed."""
        window = self.week[local.weekday()]
        return window is not None and window[0] <= local.hour * 60 + local.minute < window[1]


@dataclass(frozen=True)
class Table:
    """Rules of the house by channel, and of jurisdictions (US, US-TX) by channel."""

    house: Mapping[str, tuple[Hours, ...]]
    jurisdictions: Mapping[str, Mapping[str, Hours]]

    def rules(self, channel: str, jurisdiction: str | None) -> tuple[Hours, ...]:
        """All rules that apply. A country without its state, where states have rules, gets those of all its states.

        `jurisdiction` is an ISO 3166 country or subdivision, such as FR, US or US-TX; None: only the house's.
        Raises TimingError for a channel that the house has no hours for.
        """
        if channel not in self.house:
            raise TimingError(
                f"quiet hours: the house has none for {channel!r}. Add them; there are {', '.join(self.house)}."
            )
        if jurisdiction is None:
            return self.house[channel]
        country = jurisdiction.partition("-")[0]
        wanted = [country, jurisdiction]
        if jurisdiction == country:
            wanted += [code for code in self.jurisdictions if code.startswith(f"{country}-")]
        found = (self.jurisdictions.get(code, {}).get(channel) for code in dict.fromkeys(wanted))
        return (*self.house[channel], *(hours for hours in found if hours is not None))


@cache
def default_table() -> Table:
    """The table that is shipped."""
    return read_table((files("assets.marketing.timing") / "quiet_hours.yaml").read_text(encoding="utf-8"))


def read_table(text: str) -> Table:
    """A table as `quiet_hours.yaml` writes it. Raises TimingError."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TimingError(f"quiet hours: this is no YAML ({error}). Correct it.") from error
    if not isinstance(data, dict) or not isinstance(data.get("house"), list):
        raise TimingError("quiet hours: `house` with a list of rules is missing. Add it.")
    house: dict[str, tuple[Hours, ...]] = {}
    for n, row in enumerate(data["house"]):
        channels, hours = _row(row, f"house[{n}]")
        for channel in channels:
            house[channel] = (*house.get(channel, ()), hours)
    jurisdictions = {}
    for code, row in (data.get("jurisdictions") or {}).items():
        # YAML reads an unquoted NO as false.
        if not isinstance(code, str):
            raise TimingError(f"jurisdictions: {code!r} is no code. Put it in quotes.")
        channels, hours = _row(row, f"jurisdictions.{code}")
        jurisdictions[code] = dict.fromkeys(channels, hours)
    return Table(house, jurisdictions)


def is_quiet(at: datetime, zones: Sequence[str], rules: Sequence[Hours]) -> bool:
    """Whether any rule forbids the instant in any of the zones."""
    return any(not hours.allow(local) for local in _locals(at, zones) for hours in rules)


def next_allowed(at: datetime, zones: Sequence[str], rules: Sequence[Hours]) -> datetime:
    """The earliest instant from `at` on that is not quiet in any zone, in UTC; `at` itself where that is one.

    Give several zones where it is not known which is the recipient's: all must agree. Raises TimingError where `at` has no
    offset, a zone is unknown, or rules and zones leave no minute of a week.
    """
    at = at.astimezone(UTC) if at.tzinfo else at
    if not is_quiet(at, zones, rules):
        return at
    # Quiet ends where a window opens or where clocks are put, and nowhere else.
    for candidate in sorted(_changes(at, zones, rules)):
        if candidate >= at and not is_quiet(candidate, zones, rules):
            return candidate
    raise TimingError(
        f"quiet hours: no minute of a week is allowed in {', '.join(zones)} by all of {len(rules)} rules. "
        "Give the recipient's own zone and state, or correct the table."
    )


def zone(name: str) -> ZoneInfo:
    """A zone by its IANA name. Raises TimingError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise TimingError(f"zone: {name!r} is not known. Write an IANA name such as Europe/Paris.") from error


def zones_of(country: str) -> tuple[str, ...]:
    """All zones of a country by its ISO 3166 code, for recipients whose own is not known. Raises TimingError."""
    found = _zones_by_country().get(country.upper())
    if not found:
        raise TimingError(f"country: {country!r} has no zones. Write an ISO 3166 code such as FR.")
    return found


def recipient_zones(given: str | None, country: str | None, house_zone: str) -> tuple[str, ...]:
    """The recipient's own zone; without it all zones of the country; without that the house's."""
    if given:
        zone(given)
        return (given,)
    return zones_of(country) if country else (house_zone,)


@cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            found[country] = (*found.get(country, ()), name)
    return found


def _locals(at: datetime, zones: Sequence[str]) -> list[datetime]:
    if at.tzinfo is None:
        raise TimingError(f"at: {at} has no offset from UTC. Give one, such as +00:00.")
    if not zones:
        raise TimingError("zone: none is given. Give the recipient's, or the house's.")
    return [at.astimezone(zone(name)) for name in zones]


def _changes(at: datetime, zones: Sequence[str], rules: Sequence[Hours]) -> set[datetime]:
    found: set[datetime] = set()
    opens = {window[0] for hours in rules for window in hours.week if window is not None}
    for name in zones:
        place = zone(name)
        first = at.astimezone(place).date()
        for n in range(-1, HORIZON.days + 1):
            day = first + timedelta(days=n)
            found.update(instant for minute in opens for instant in _instants(day, minute, place))
        found.update(_clock_changes(at, place))
    return found


def _instants(day: date, minute: int, place: ZoneInfo) -> list[datetime]:
    """The instants at which the clock shows that minute: two where it is put back. One that it skips is another minute."""
    wall = datetime.combine(day, time(minute // 60, minute % 60), place)
    return [wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]


def _clock_changes(at: datetime, place: ZoneInfo) -> list[datetime]:
    found, step, minute = [], timedelta(hours=6), timedelta(minutes=1)
    low = at.replace(second=0, microsecond=0) - step
    while low < at + HORIZON:
        high = low + step
        if _offset(low, place) != _offset(high, place):
            before, after = low, high
            while after - before > minute:
                middle = before + (after - before) // 2 // minute * minute
                before, after = (middle, after) if _offset(middle, place) == _offset(low, place) else (before, middle)
            found.append(after)
        low = high
    return found


def _offset(at: datetime, place: ZoneInfo) -> timedelta | None:
    return at.astimezone(place).utcoffset()


def _row(row: Any, where: str) -> tuple[list[str], Hours]:
    channels = row.get("channels") if isinstance(row, dict) else None
    if not channels or not isinstance(channels, list) or not isinstance(row.get("allow"), dict):
        raise TimingError(
            f"{where}: channels and allow are needed. Write {{channels: [sms], allow: {{mon-sun: 08:00-21:00}}}}."
        )
    week: list[Window | None] = [None] * 7
    for days, window in row["allow"].items():
        for day in _days(days, where):
            if week[day] is not None:
                raise TimingError(f"{where}.allow: {DAYS[day]} is named twice. Name each day once.")
            week[day] = _window(window, f"{where}.allow.{days}")
    return list(map(str, channels)), Hours(tuple(week), str(row.get("source", "")))


def _days(text: Any, where: str) -> range:
    first, dash, last = str(text).partition("-")
    if first not in DAYS or (dash and last not in DAYS) or (dash and DAYS.index(last) < DAYS.index(first)):
        raise TimingError(f"{where}.allow: {text!r} is no day. Write mon to sun, or mon-fri.")
    return range(DAYS.index(first), DAYS.index(last if dash else first) + 1)


def _window(text: Any, where: str) -> Window:
    try:
        first, end = (_minute(part) for part in str(text).split("-"))
    except ValueError as error:
        raise TimingError(f'{where}: {text!r} is no window. Write "08:00-21:00", in quotes.') from error
    if not 0 <= first < end <= DAY_MINUTES:
        raise TimingError(f"{where}: {text!r} must end after it starts, on the same day. Correct it.")
    return first, end


def _minute(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if not 0 <= minutes < 60:
        raise ValueError(text)
    return hours * 60 + minutes
