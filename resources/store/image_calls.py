"""Calls of providers of pictures: each is written down before it is made, and settled when it has ended.

Belongs here: the table `image_calls`, and what can be counted in it. Does not belong here: whether a call may be paid
(`resources/images/budgets`), and days' and campaigns' sums (`spending`).

A `reserved` call is under way, or its process died. `settled` cost what it cost, `released` nothing; `uncertain` is as if paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_json, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

MADE = "made"
_TROUBLES = ("unavailable", "uncertain", "poisoned")
_LATEST = 2000


@dataclass(frozen=True)
class Call:
    """A call that is about to be made. `key` is the effect's, `content_key` that of what it is to bring."""

    key: str
    provider: str
    model: str
    content_key: str
    reserved_micros: int
    day: date
    started_at: datetime
    principal: str = "system"
    campaign: str | None = None


@dataclass(frozen=True)
class Ended:
    """What came of a call. `outcome` is `made` or what went wrong, `code` the provider's word for it.

    `cost_micros` in millionths of a US dollar; `images` as they are remembered; `usage` as the provider counted.
    """

    state: str
    outcome: str
    cost_micros: int
    code: str = ""
    message: str = ""
    images: Sequence[Mapping[str, Any]] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class CallRow:
    """A call as it stands. `cost_micros` None while it is not settled."""

    id: int
    key: str
    provider: str
    model: str
    content_key: str
    campaign: str | None
    day: date
    state: str
    reserved_micros: int
    cost_micros: int | None
    outcome: str
    code: str
    message: str
    images: tuple[Mapping[str, Any], ...]
    usage: Mapping[str, Any]
    seconds: float | None

    @property
    def counted(self) -> int:
        """What of it is counted in the budgets."""
        return self.reserved_micros if self.cost_micros is None else self.cost_micros


@dataclass(frozen=True)
class Record:
    """How a model did: `calls` by outcome, what all cost, and the seconds of those that brought pictures, latest first."""

    calls: Mapping[str, int]
    cost_micros: int
    images: int
    seconds: tuple[float, ...]

    @property
    def made(self) -> int:
        return self.calls.get(MADE, 0)

    @property
    def troubles(self) -> int:
        """Calls that failed by the provider's fault."""
        return sum(self.calls.get(outcome, 0) for outcome in _TROUBLES)


_COLUMNS = (
    "id, request_key, provider, model, content_key, campaign, day, state, reserved_micros, cost_micros, error_code, error, "
    "usage, seconds"
)


def begin_call(connection: "Connection", brand: int, call: Call) -> int:
    """Write a call down as `reserved`. Returns its number."""
    row = {
        "brand_id": brand,
        "request_key": call.key,
        "provider": call.provider,
        "model": call.model,
        "content_key": call.content_key,
        "campaign": call.campaign,
        "principal": call.principal,
        "day": call.day,
        "state": "reserved",
        "reserved_micros": call.reserved_micros,
        "images": 0,
        "usage": {},
        "started_at": call.started_at,
    }
    return insert_row(connection, "image_calls", row)


def end_call(connection: "Connection", brand: int, number: int, ended: Ended, now: datetime) -> None:
    """Write down what came of it; whether it may still be written is the caller's matter."""
    code = ended.outcome if not ended.code else f"{ended.outcome}/{ended.code}"
    run(
        connection,
        "UPDATE image_calls SET state = :state, cost_micros = :cost, images = :images, error_code = :code, error = :error, "
        "usage = :usage, seconds = :seconds, ended_at = :now WHERE brand_id = :brand AND id = :id",
        {
            "state": ended.state,
            "cost": ended.cost_micros,
            "images": len(ended.images),
            "code": None if ended.outcome == MADE else code[:128],
            "error": ended.message[:2000] or None,
            "usage": {"told": dict(ended.usage), "images": [dict(image) for image in ended.images]},
            "seconds": ended.seconds,
            "now": now,
            "brand": brand,
            "id": number,
        },
    )


def find_call(connection: "Connection", brand: int, number: int) -> CallRow | None:
    query = f"SELECT {_COLUMNS} FROM image_calls WHERE brand_id = :brand AND id = :id"
    row = run(connection, query, {"brand": brand, "id": number}).first()
    return None if row is None else _call(row)


def calls_of(connection: "Connection", brand: int, key: str) -> list[CallRow]:
    """All calls that were made for an effect, in their order."""
    query = f"SELECT {_COLUMNS} FROM image_calls WHERE brand_id = :brand AND request_key = :key ORDER BY id"
    return [_call(row) for row in run(connection, query, {"brand": brand, "key": key})]


def unsettled(connection: "Connection", brand: int, before: datetime) -> list[int]:
    """Calls that began before then and have not ended."""
    query = (
        "SELECT id FROM image_calls WHERE brand_id = :brand AND state = 'reserved' AND started_at < :before ORDER BY id"
    )
    return [row.id for row in run(connection, query, {"brand": brand, "before": before})]


def in_flight(connection: "Connection", brand: int, since: datetime) -> dict[str, int]:
    """Calls under way that began after then, by model."""
    query = """
        SELECT model, count(*) AS calls FROM image_calls
        WHERE brand_id = :brand AND state = 'reserved' AND started_at >= :since GROUP BY model
    """
    return {row.model: row.calls for row in run(connection, query, {"brand": brand, "since": since})}


def records(connection: "Connection", brand: int, since: date) -> dict[str, Record]:
    """How each model did from a day on, of the latest two thousand calls that have ended."""
    query = f"""
        SELECT model, state, error_code, cost_micros, images, seconds FROM image_calls
        WHERE brand_id = :brand AND day >= :since AND state <> 'reserved' ORDER BY id DESC LIMIT {_LATEST}
    """
    by_model: dict[str, list[Any]] = {}
    for row in run(connection, query, {"brand": brand, "since": since}):
        by_model.setdefault(row.model, []).append(row)
    return {model: _record(rows) for model, rows in by_model.items()}


def judged(connection: "Connection", brand: int, content_type: str) -> dict[str, tuple[float, int]]:
    """How pictures of a content type were judged here: mean score and number, by model. One that a person rejected has 0."""
    query = """
        SELECT model, avg(CASE WHEN state = 'rejected' THEN 0 ELSE score END) AS mean, count(*) AS number FROM pictures
        WHERE brand_id = :brand AND content_type = :type AND state <> 'deleted' GROUP BY model
    """
    rows = run(connection, query, {"brand": brand, "type": content_type})
    return {row.model: (float(row.mean), int(row.number)) for row in rows}


def counted(connection: "Connection", brand: int, day: date | None = None, campaign: str | None = None) -> int:
    """What the calls of a day or of a campaign count in the budgets, in millionths of a US dollar."""
    where, values = "", {"brand": brand}
    if day is not None:
        where, values = f"{where} AND day = :day", values | {"day": day}
    if campaign is not None:
        where, values = f"{where} AND campaign = :campaign", values | {"campaign": campaign}
    query = f"SELECT coalesce(sum(coalesce(cost_micros, reserved_micros)), 0) FROM image_calls WHERE brand_id = :brand{where}"
    return int(run(connection, query, values).scalar_one())


def _call(row: Any) -> CallRow:
    outcome, _, code = (row.error_code or "").partition("/")
    said = as_json(row.usage) or {}
    return CallRow(
        row.id,
        row.request_key,
        row.provider,
        row.model,
        row.content_key,
        row.campaign,
        date.fromisoformat(row.day) if isinstance(row.day, str) else row.day,
        row.state,
        row.reserved_micros,
        row.cost_micros,
        outcome or (MADE if row.state == "settled" else ""),
        code,
        row.error or "",
        tuple(said.get("images", ())),
        said.get("told", {}),
        row.seconds,
    )


def _record(rows: Sequence[Any]) -> Record:
    calls: dict[str, int] = {}
    for row in rows:
        outcome = (row.error_code or MADE).partition("/")[0]
        calls[outcome] = calls.get(outcome, 0) + 1
    seconds = tuple(row.seconds for row in rows if row.error_code is None and row.seconds is not None)
    return Record(calls, sum(row.cost_micros or 0 for row in rows), sum(row.images for row in rows), seconds)
