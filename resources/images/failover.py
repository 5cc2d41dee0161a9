"""Asking one candidate after the other until one brings the picture, and what each kind of failure leads to.

Belongs here: the calls of one request, what is written down of each, and who is left alone for how long. Does not belong here:
the order of the candidates (`choice`), and what is remembered of pictures (`cache`).

| a provider's | the call | the breaker | then |
| --- | --- | --- | --- |
| Blocked | cost nothing | closes | a result: nobody else is asked |
| Refused | cost nothing | closes | the next candidate |
| Throttled | cost nothing | closes | the next; where there is none and it told to wait shortly, it is waited for |
| Unavailable | cost nothing | counts | the next candidate |
| SwitchedOff | cost nothing | closes | the next; left alone until something is changed, or for a while |
| Uncertain | counts as paid | counts | one more attempt, elsewhere |
| Poisoned | cost what it cost | counts | the next candidate |
| Cancelled | cost nothing | – | the end |
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from resources.breaker import StoreBreaker
from resources.channels.transport import Clock
from resources.images.budgets import BudgetReached, Budgets, today
from resources.images.choice import Ranked
from resources.images.policy import ImagePolicy
from resources.images.protocol import (
    Blocked,
    Cancelled,
    Generated,
    ImageError,
    ImageProvider,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.registry import Model
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently
from resources.store.image_calls import Call, CallRow, Ended
from resources.store.limits import BreakerRow, find_breaker, keep_breaker

How = Literal[
    "made", "blocked", "refused", "throttled", "unavailable", "switched_off", "uncertain", "poisoned", "cancelled"
]
T = TypeVar("T")
MOST_UNCERTAIN = 2
"""Calls of one effect whose answer was lost: the first, and the one more that is allowed."""
_UNTOLD_WAIT = 2.0
_LONGEST_HOLD = 3600.0
_SLICE = 0.25
_OF_A_MODEL = (
    "model_not_found",
    "not_found_error",
    "http_404",
    "http_410",
    "permission_denied",
    "permission_error",
    "map",
)
_KINDS: tuple[tuple[type[ImageError], How], ...] = (
    (Blocked, "blocked"),
    (Refused, "refused"),
    (Throttled, "throttled"),
    (Unavailable, "unavailable"),
    (SwitchedOff, "switched_off"),
    (Poisoned, "poisoned"),
    (Cancelled, "cancelled"),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """One call of a provider. `cost` in millionths of a US dollar: what it is counted with. `stage` and `categories` are a
    filter's: whether it refused the input or the output, and why."""

    model: str
    provider: str
    outcome: How
    code: str
    message: str
    cost: int
    seconds: float
    stage: str | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One request. `earlier` are the calls that were made for the same key before."""

    key: str
    principal: str
    campaign: str | None
    content_key: Callable[[Ranked], str]
    earlier: Sequence[CallRow] = ()


@dataclass
class Run(Generic[T]):
    """What came of it: `made` with its pictures as they are remembered, or `found` in the cache meanwhile, or neither."""

    attempts: list[Attempt] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    by: Ranked | None = None
    made: Generated | None = None
    images: Sequence[Mapping[str, Any]] = ()
    found: T | None = None
    blocked: Blocked | None = None
    code: str = "no_candidate"

    @property
    def is_over(self) -> bool:
        return self.made is not None or self.found is not None or self.blocked is not None


class Switches:
    """Which models are left alone for another reason than the breaker's: told to wait, or of no use until something changes.

    Shared by all processes, as rows beside those of the breakers. `marks` are fingerprints of address and key by model: another
    key is another chance.
    """

    def __init__(self, books: BrandStore, clock: Clock, policy: ImagePolicy, marks: Mapping[str, str]) -> None:
        self._books = books
        self._clock = clock
        self._policy = policy
        self._marks = marks

    def hold(self, model: Model, seconds: float | None) -> float:
        """It asked to be left alone. Gives for how many seconds it is."""
        told = min(_UNTOLD_WAIT if seconds is None else max(seconds, 0.0), _LONGEST_HOLD)
        self._keep(wait_name(model), told, f"asked to be left alone for {told:.1f} s")
        return told

    def switch_off(self, model: Model, error: SwitchedOff) -> None:
        """It is of no use until somebody changes something: this model alone, or all that its key opens."""
        name = self._model_name(model) if error.code in _OF_A_MODEL else self._provider_name(model)
        self._keep(name, self._policy.switched_off_minutes * 60, f"{error.code}: {error}" if error.code else str(error))

    def shut(self, model: Model, rows: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, float | None]:
        """Why it is left alone now, by the rows of the breakers; and for how long, where it only asked to wait."""
        now = self._clock.now()
        for name in (self._model_name(model), self._provider_name(model)):
            if left := _left(rows.get(name), now):
                minutes, why = left / 60, rows[name]["last_failure"]
                return (
                    f"is switched off ({why}): it is asked again in {minutes:.0f} min, or with another key or URL",
                    None,
                )
        if left := _left(rows.get(breaker_name(model)), now):
            why = rows[breaker_name(model)]["last_failure"]
            return f"has failed repeatedly, last with {why}, and is left alone for {left:.0f} s", None
        if left := _left(rows.get(wait_name(model)), now):
            return f"asked to be left alone for {left:.1f} s", left
        return None, None

    def shut_now(self, model: Model) -> tuple[str | None, float | None]:
        """The same, read now."""
        with self._books.read() as (connection, brand):
            names = (self._model_name(model), self._provider_name(model), breaker_name(model), wait_name(model))
            rows = {name: vars(find_breaker(connection, brand, name)) for name in names}
        return self.shut(model, rows)

    def _keep(self, name: str, seconds: float, why: str) -> None:
        now = self._clock.now()
        until = now + timedelta(seconds=seconds)
        row = BreakerRow("open" if seconds > 0 else "closed", 1, now, until, now, why[:500])

        def work() -> None:
            with self._books.read() as (_, brand):
                pass
            with self._books.store.write(f"breaker:{brand}:{name}") as connection:
                keep_breaker(connection, brand, name, row)

        patiently(work)

    def _model_name(self, model: Model) -> str:
        return f"{breaker_name(model)}:off{self._mark(model)}"

    def _provider_name(self, model: Model) -> str:
        return f"images:{model.provider}:all:off{self._mark(model)}"

    def _mark(self, model: Model) -> str:
        mark = self._marks.get(model.id)
        return f":{mark}" if mark else ""


class Failover:
    """The calls. May be shared by threads."""

    def __init__(
        self,
        providers: Mapping[str, ImageProvider],
        budgets: Budgets,
        breaker: StoreBreaker,
        switches: Switches,
        clock: Clock,
        policy: ImagePolicy,
    ) -> None:
        self.providers = providers
        self.budgets = budgets
        self.breaker = breaker
        self.switches = switches
        self.clock = clock
        self.policy = policy

    def run(
        self,
        job: Job,
        ranked: Sequence[Ranked],
        look: Callable[[Ranked], T | None],
        save: Callable[[Generated], Sequence[Mapping[str, Any]]],
        is_cancelled: Callable[[], bool],
    ) -> Run[T]:
        """Ask until a picture comes or nobody is left. `look` gives what the cache has of a candidate, `save` writes the bytes
        of what came, before it is written down that it came."""
        course = _Course(self, job, ranked, look, save, is_cancelled)
        while not course.run.is_over and course.may_go_on():
            one = course.next()
            if one is None:
                break
            course.ask(one)
        return course.run


class _Course(Generic[T]):
    """One request on its way from candidate to candidate."""

    def __init__(
        self,
        tools: Failover,
        job: Job,
        ranked: Sequence[Ranked],
        look: Callable[[Ranked], T | None],
        save: Callable[[Generated], Sequence[Mapping[str, Any]]],
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._tools = tools
        self._job = job
        self._look = look
        self._save = save
        self._is_cancelled = is_cancelled
        self.run: Run[T] = Run()
        self._waited = 0.0
        lost = {row.model: row.id for row in job.earlier if row.state == "uncertain"}
        self._lost = sum(row.state == "uncertain" for row in job.earlier)
        # Who knows keys finds its job again: that call is taken up, rather than another one made.
        self._again = {
            one.model.id: lost[one.model.id]
            for one in ranked
            if one.is_open and one.model.id in lost and "keys" in one.model.supports
        }
        for model in lost.keys() - self._again.keys():
            self.run.rejected[model] = "an earlier call for this key was lost, and may have been made and billed"
        left = [one for one in ranked if one.model.id not in self.run.rejected]
        self._queue = sorted((one for one in left if one.is_open), key=lambda one: one.model.id not in self._again)
        self._waiting = {one.model.id: (one, self._in(one.wait)) for one in left if one.wait is not None}

    def may_go_on(self) -> bool:
        """Whether another call may be made; the run's code says why not."""
        policy = self._tools.policy
        if self._is_cancelled():
            self.run.code = "cancelled"
        elif len(self.run.attempts) >= policy.attempts or self._waited > policy.attempts * policy.wait_seconds:
            self.run.code = "attempts"
        elif self._lost >= MOST_UNCERTAIN and not self._is_taken_up_next():
            self.run.code = "uncertain"
        else:
            return self.run.code != "cancelled"
        return False

    def next(self) -> Ranked | None:
        """Whose turn it is. Waits for one that asked to wait only where nobody else is left, and only for a short time."""
        if self._queue:
            return self._queue.pop(0)
        if not self._waiting:
            return None
        model = min(self._waiting, key=lambda model: self._waiting[model][1])
        one, until = self._waiting.pop(model)
        left = (until - self._tools.clock.now()).total_seconds()
        if left > self._tools.policy.wait_seconds:
            self.run.rejected[model] = f"asked to be left alone for {left:.0f} s, longer than is waited for"
            return None
        # Not all who wait come back at the same moment.
        end = until + timedelta(seconds=random.uniform(0, max(left, 0.0) / 4))
        while (left := (end - self._tools.clock.now()).total_seconds()) > 0:
            if self._is_cancelled():
                self.run.code = "cancelled"
                return None
            self._waited += min(left, _SLICE)
            self._tools.clock.sleep(min(left, _SLICE))
        return one

    def ask(self, one: Ranked) -> None:
        """Take what the cache has of it, or call it once."""
        if (found := self._look(one)) is not None:
            self.run.found, self.run.by = found, one
            return
        why, left = self._tools.switches.shut_now(one.model)
        if why is not None:
            # Another request has learnt so since this one's candidates were ranked.
            self.run.rejected[one.model.id] = why
            if left is not None:
                self._waiting[one.model.id] = (one, self._in(left))
            return
        if wait := self._tools.breaker.allow(breaker_name(one.model)):
            self.run.rejected[one.model.id] = f"has failed repeatedly and is left alone for {wait:.0f} s"
            return
        try:
            number = self._again.get(one.model.id) or self._reserved(one)
        except BudgetReached as error:
            self.run.rejected[one.model.id] = str(error)
            return
        self._call(one, number)

    def _call(self, one: Ranked, number: int) -> None:
        tools, began = self._tools, time.monotonic()
        provider = tools.providers[one.model.id]
        try:
            made = provider.generate(one.request, self._job.key, self._is_cancelled)
            if not made.images:
                raise Poisoned(f"{one.model.id} answered well and brought nothing", "no_image", made.cost)
        except ImageError as error:
            self._failed(one, number, error, time.monotonic() - began)
            return
        except Exception as error:
            # No adapter should; and nobody knows whether it had called before.
            _log.exception("%s failed in a way that it should not", one.model.id)
            lost = Uncertain(f"{type(error).__name__}: {error}", type(error).__name__)
            self._failed(one, number, lost, time.monotonic() - began)
            return
        except BaseException:
            tools.budgets.settle(number, Ended("uncertain", "uncertain", 0, "interrupted", "it was interrupted"))
            raise
        seconds = time.monotonic() - began
        try:
            images = self._save(made)
        except BaseException as error:
            told = f"it came and was paid, and could not be kept: {error}"
            tools.budgets.settle(number, Ended("settled", "poisoned", made.cost, "not_kept", told, seconds=seconds))
            raise
        ended = Ended("settled", "made", made.cost, images=images, usage=made.usage, seconds=seconds)
        tools.budgets.settle(number, ended)
        tools.breaker.succeeded(breaker_name(one.model))
        self._tell(one, "made", "", made.call_id or "", made.cost, seconds)
        self.run.made, self.run.images, self.run.by = made, images, one

    def _failed(self, one: Ranked, number: int, error: ImageError, seconds: float) -> None:
        """Settle the call, tell the breaker, and see to who is next."""
        tools, name, how = self._tools, breaker_name(one.model), how_of(error)
        # Some bill what they refuse, and say so.
        cost = getattr(error, "cost", 0)
        state = "uncertain" if how == "uncertain" else "settled" if cost or how == "poisoned" else "released"
        stage, categories = (error.stage, error.categories) if isinstance(error, Blocked) else (None, ())
        told = {"stage": stage, "categories": list(categories)} if stage else {}
        # What an earlier call had begun is not undone by a later one that learnt nothing of it.
        if number != self._again.get(one.model.id) or how in ("poisoned", "blocked"):
            tools.budgets.settle(number, Ended(state, how, cost, error.code, str(error), usage=told, seconds=seconds))
        counted = one.estimate if how == "uncertain" else cost
        if isinstance(error, (Unavailable, Uncertain, Poisoned)):
            tools.breaker.failed(name, f"{error.code}: {error}" if error.code else str(error))
        elif not isinstance(error, Cancelled):
            tools.breaker.succeeded(name)
        if isinstance(error, Blocked):
            self.run.blocked, self.run.by = error, one
        elif isinstance(error, Throttled):
            self._waiting[one.model.id] = (one, self._in(tools.switches.hold(one.model, error.retry_after)))
        elif isinstance(error, SwitchedOff):
            tools.switches.switch_off(one.model, error)
        elif isinstance(error, Uncertain):
            self._lost += 1
            self.run.code = "uncertain"
        elif isinstance(error, Cancelled):
            self.run.code = "cancelled"
        if how in ("unavailable", "uncertain", "switched_off", "throttled"):
            # What ails one model of a provider mostly ails the others, too: elsewhere is better than there again.
            self._queue.sort(key=lambda other: other.model.provider == one.model.provider)
        self._tell(one, how, error.code, str(error), counted, seconds, stage, tuple(categories))

    def _reserved(self, one: Ranked) -> int:
        tools, job = self._tools, self._job
        call = Call(
            key=job.key,
            provider=one.model.provider,
            model=one.model.id,
            content_key=job.content_key(one),
            reserved_micros=one.estimate,
            day=today(tools.clock),
            started_at=tools.clock.now(),
            principal=job.principal,
            campaign=job.campaign,
        )
        return tools.budgets.reserve(call)

    def _tell(
        self,
        one: Ranked,
        how: How,
        code: str,
        message: str,
        cost: int,
        seconds: float,
        stage: str | None = None,
        categories: tuple[str, ...] = (),
    ) -> None:
        attempt = Attempt(
            one.model.id, one.model.provider, how, code, message, cost, round(seconds, 3), stage, categories
        )
        self.run.attempts.append(attempt)

    def _is_taken_up_next(self) -> bool:
        return bool(self._queue) and self._queue[0].model.id in self._again

    def _in(self, seconds: float | None) -> datetime:
        return self._tools.clock.now() + timedelta(seconds=seconds or 0.0)


def breaker_name(model: Model) -> str:
    return f"images:{model.id}"


def wait_name(model: Model) -> str:
    return f"images:{model.id}:wait"


def how_of(error: ImageError) -> How:
    """The word for what went wrong, as calls are written down with it."""
    for kind, how in _KINDS:
        if isinstance(error, kind):
            return how
    return "uncertain"


def _left(row: Mapping[str, Any] | None, now: datetime) -> float:
    """Seconds for which a row keeps callers away."""
    if row is None or row["state"] == "closed" or row["retry_at"] is None:
        return 0.0
    return max((row["retry_at"] - now).total_seconds(), 0.0)
