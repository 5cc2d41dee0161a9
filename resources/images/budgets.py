"""What pictures may cost a day and a campaign: reserved before each call, settled after it, never forgotten in between.

Belongs here: the rules. Does not belong here: the rows (`resources/store/image_calls`, `resources/store/spending`).

A call and its place in the budgets are written in one transaction, and so are batches (`batches`): the sum over calls and open
batches is always what the budgets say is spent. What a process that died had reserved stays reserved, and `sweep` says that
nobody knows whether it was paid.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from resources.channels.transport import Clock
from resources.images.policy import ImagePolicy
from resources.images.protocol import MICROS
from resources.store import spending
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently
from resources.store.image_calls import Call, Ended, begin_call, end_call, find_call, unsettled

if TYPE_CHECKING:
    from sqlalchemy import Connection

DAY = "images"
CAMPAIGN_DAY = date(2000, 1, 1)
"""A campaign's budget is for as long as it runs; its sum stands under this day."""
LOST = Ended("uncertain", "uncertain", 0, "process_lost", "its process ended while the call was under way")
_T = TypeVar("_T")


class BudgetReached(Exception):
    """It would cost more than may be spent; the message names the budget, what is left of it, and what to do."""


@dataclass(frozen=True)
class Room:
    """What is left of the budgets, in millionths of a US dollar; `campaign` None where none is named."""

    day: int
    campaign: int | None = None


class Budgets:
    """The brand's. Every method is one short transaction, waits for a PostgreSQL that is restarting, and is never to be called
    inside another transaction that writes."""

    def __init__(self, books: BrandStore, clock: Clock, policy: ImagePolicy) -> None:
        self._books = books
        self._clock = clock
        self._policy = policy

    def room(self, campaign: str | None = None) -> Room:
        """What is left today and for a campaign; less than nothing where a provider billed more than it had said."""
        with self._books.read() as (connection, brand):
            spent = spending.spent(connection, brand, DAY, today(self._clock))
            day = self._policy.day_micros - spent
            if campaign is None:
                return Room(day)
            spent = spending.spent(connection, brand, principal_of(campaign), CAMPAIGN_DAY)
            return Room(day, self._policy.campaign_micros(campaign) - spent)

    def reserve(self, call: Call) -> int:
        """Write the call down and take the most that it may cost from the budgets of its day and campaign. Its number.

        Raises BudgetReached, and leaves no trace then.
        """

        def step(connection: "Connection", brand: int) -> int:
            charge(connection, brand, call.day, call.campaign, call.reserved_micros, self._policy)
            return begin_call(connection, brand, call)

        return self._under_lock(step)

    def settle(self, number: int, ended: Ended) -> bool:
        """Put what it really cost in the place of what was reserved; False where that had been done before.

        A call that was taken for lost may still be settled: its process lived after all.
        """

        def step(connection: "Connection", brand: int) -> bool:
            row = find_call(connection, brand, number)
            if row is None or row.state in ("settled", "released"):
                return False
            cost = row.reserved_micros if ended.state == "uncertain" else ended.cost_micros
            correct(connection, brand, row.day, row.campaign, row.counted, cost)
            end_call(connection, brand, number, replace(ended, cost_micros=cost), self._clock.now())
            return True

        return self._under_lock(step)

    def sweep(self, before: datetime | None = None) -> int:
        """Mark calls as uncertain that began before then and never ended; default: `call_minutes` ago. How many there were.

        They count as paid: nobody can tell that they were not.
        """
        since = before or self._clock.now() - timedelta(minutes=self._policy.call_minutes)
        with self._books.read() as (connection, brand):
            lost = unsettled(connection, brand, since)
        return sum(self.lose(number) for number in lost)

    def lose(self, number: int) -> bool:
        """Mark one call as uncertain whose process is known to have ended; False where it was settled."""

        def step(connection: "Connection", brand: int) -> bool:
            row = find_call(connection, brand, number)
            if row is None or row.state != "reserved":
                return False
            end_call(connection, brand, number, replace(LOST, cost_micros=row.reserved_micros), self._clock.now())
            return True

        return self._under_lock(step)

    def _under_lock(self, step: Callable[["Connection", int], _T]) -> _T:
        def work() -> _T:
            with self._books.read() as (_, brand):
                pass
            # Not the brand's lock: a call of a provider does not wait for an ingest.
            with self._books.store.write(f"images:budgets:{brand}") as connection:
                return step(connection, brand)

        return patiently(work)


def charge(
    connection: "Connection", brand: int, day: date, campaign: str | None, micros: int, policy: ImagePolicy
) -> None:
    """Take from both budgets in the caller's transaction, which must be rolled back where this raises BudgetReached."""
    if not spending.reserve(connection, brand, DAY, day, micros, policy.day_micros):
        left = policy.day_micros - spending.spent(connection, brand, DAY, day)
        raise BudgetReached(too_dear(micros, left, None, policy))
    if campaign is None:
        return
    ceiling = policy.campaign_micros(campaign)
    if not spending.reserve(connection, brand, principal_of(campaign), CAMPAIGN_DAY, micros, ceiling):
        left = ceiling - spending.spent(connection, brand, principal_of(campaign), CAMPAIGN_DAY)
        raise BudgetReached(too_dear(micros, left, campaign, policy))


def correct(connection: "Connection", brand: int, day: date, campaign: str | None, reserved: int, actual: int) -> None:
    """Put what something really cost in the place of what `charge` took for it, in the caller's transaction."""
    spending.settle(connection, brand, DAY, day, reserved, actual)
    if campaign is not None:
        spending.settle(connection, brand, principal_of(campaign), CAMPAIGN_DAY, reserved, actual)


def too_dear(micros: int, left: int, campaign: str | None, policy: ImagePolicy) -> str:
    """The sentence that says so."""
    if campaign is None:
        whole, whose, field = policy.day_micros, "the budget of the day", "budget_usd_per_day"
    else:
        whole, whose = policy.campaign_micros(campaign), f"the budget of the campaign {campaign}"
        field = "budget_usd_by_campaign"
    return f"it may cost {usd(micros)} and {usd(max(left, 0))} of {whose} ({usd(whole)}) is left; raise {field} in images.yaml"


def usd(micros: int) -> str:
    """Written out, to the hundredth of a cent."""
    return f"{micros / MICROS:.4f} USD"


def principal_of(campaign: str) -> str:
    return f"{DAY}:campaign:{campaign}"


def today(clock: Clock) -> date:
    """The day whose budget is used, by UTC."""
    return clock.now().astimezone(UTC).date()
