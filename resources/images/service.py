"""Asking for pictures: remembered ones first, then whoever is chosen, within the budgets, once.

Belongs here: the order in which the parts are asked. Does not belong here: the parts (`cache`, `choice`, `failover`,
`budgets`), opening them (`adapters`), and what is done with a picture (`assets/visuals/making`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from resources.breaker import StoreBreaker
from resources.channels.transport import Clock
from resources.images.budgets import Budgets, today
from resources.images.cache import Cached, CacheStatistics, ContentCache, Flights, content_key, key_key, wish_key
from resources.images.choice import Candidate, Ranked, rank
from resources.images.failover import Attempt, Failover, Job, Run, Switches
from resources.images.picture_store import PictureStore
from resources.images.policy import ImagePolicy
from resources.images.protocol import Image, ImageProvider, ImageRequest
from resources.images.registry import Found, Registry
from resources.images.standing import ProviderStatistics, Standings
from resources.store.brand_store import BrandStore
from resources.store.image_batches import open_batch_of
from resources.store.image_calls import MADE, CallRow, calls_of

_SWEPT_EVERY_SECONDS = 300.0
_REASONS = 4
_REPLAYED = "this key brought it before: nothing was asked again"


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `key` names the effect: the same one again brings the same. `provider` is a provider's name, an alias
    or a model's id. `fresh` pictures are not taken from the cache, nor do they change it. `seed_required`: only who knows seeds
    is asked. Raises ValueError for names that the store has no room for."""

    request: ImageRequest
    key: str
    principal: str = "system"
    campaign: str | None = None
    provider: str | None = None
    fresh: bool = False
    seed_required: bool = False

    def __post_init__(self) -> None:
        for name, text, most in (
            ("key", self.key, 255),
            ("principal", self.principal, 255),
            ("campaign", self.campaign or "-", 128),
        ):
            if not 1 <= len(text) <= most:
                raise ValueError(f"the {name} of a picture's request must have 1 to {most} characters, not {len(text)}")


@dataclass(frozen=True)
class Outcome:
    """What came of it. `cost` in millionths of a US dollar, of this key's calls; what was `cached` or `joined` costs nothing.

    `code` tells failures apart: `no_candidate`, `budget`, `attempts`, `uncertain` (it may have been made and billed),
    `cancelled`, `waited` (another one has the same made, and does not end), `batched` (an open batch has it), `lost` (its bytes
    are gone).
    """

    state: Literal["made", "blocked", "failed"]
    images: tuple[Image, ...] = ()
    provider: str | None = None
    model: str | None = None
    cost: int = 0
    candidates: tuple[Candidate, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    cached: bool = False
    joined: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    error: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Statistics:
    """How providers did, what the cache saved, and the day's budget in millionths of a US dollar."""

    providers: tuple[ProviderStatistics, ...]
    cache: CacheStatistics
    budget_of_day: int
    left_of_day: int


class ImageService:
    """The brand's. May be shared by threads; its memory is the store's, so that processes share it, too."""

    def __init__(
        self,
        books: BrandStore,
        registry: Registry,
        providers: Mapping[str, ImageProvider],
        policy: ImagePolicy,
        store: PictureStore,
        clock: Clock | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        """`providers` by their model's id. `marks` are fingerprints of each one's address and key."""
        self._books = books
        self._registry = registry
        self._providers = providers
        self._policy = policy
        self._clock = clock or Clock()
        self._cache = ContentCache(books, store, self._clock, policy)
        self._flights = Flights(books, self._clock, policy)
        self._budgets = Budgets(books, self._clock, policy)
        switches = Switches(books, self._clock, policy, marks or {})
        breaker = StoreBreaker(books, self._clock, policy.breaker_failures, policy.breaker_seconds)
        self._standings = Standings(books, registry, providers, switches, self._clock, policy)
        self._failover = Failover(providers, self._budgets, breaker, switches, self._clock, policy)
        self._swept = float("-inf")

    def make(self, wanted: Wanted, is_cancelled: Callable[[], bool] = lambda: False) -> Outcome:
        """Have pictures made, or find those that were. What providers do wrong is an outcome, too.

        Raises RegistryError where nothing has the provider's name, and SQLAlchemy's errors where the store does not answer.
        """
        began, since = time.monotonic(), self._clock.now()
        found = self._found(wanted)
        self._sweep_now_and_then()
        outcome = self._settled(wanted) or self._made(wanted, found, since, is_cancelled)
        return replace(outcome, seconds=round(time.monotonic() - began, 3))

    def candidates(self, wanted: Wanted) -> list[Candidate]:
        """Who would be asked, best first, and who not, with each reason. Nobody is asked. Raises RegistryError."""
        return [one.candidate for one in self._ranked(wanted, self._found(wanted))]

    def statistics(self) -> Statistics:
        """Of thirty days, the cache's since the store was made."""
        left = self._budgets.room().day
        return Statistics(self._standings.statistics(), self._cache.statistics(), self._policy.day_micros, left)

    def sweep(self) -> int:
        """Say of calls whose process died that they may have been paid, forget old refusals, delete bytes that nothing names.

        How many calls there were. It is done by itself now and then.
        """
        lost = self._budgets.sweep()
        self._cache.tidy()
        self._cache.evict()
        return lost

    def close(self) -> None:
        """Let go of the providers' connections."""
        for provider in self._providers.values():
            close = getattr(provider, "close", None)
            if close is not None:
                close()

    # The way of a request

    def _settled(self, wanted: Wanted) -> Outcome | None:
        """What this key brought before, or why these words are not asked again."""
        return self._replayed(wanted, self._earlier(wanted)) or self._batched(wanted) or self._refused(wanted)

    def _made(
        self, wanted: Wanted, found: Sequence[Found], since: datetime, is_cancelled: Callable[[], bool]
    ) -> Outcome:
        wish = _wish(wanted)
        keys, until = (key_key(wanted.key), wish), since + timedelta(seconds=self._policy.join_seconds)
        while True:
            ranked = self._ranked(wanted, found)
            if hit := self._remembered(wanted, ranked):
                # It may be what this very key has just brought, in another process.
                return self._replayed(wanted, self._earlier(wanted)) or hit
            with self._flights.begin(keys) as is_ours:
                if is_ours:
                    # Between looking and beginning, another one may have ended.
                    return self._joined(wanted, ranked, wish, since) or self._asked(wanted, ranked, wish, is_cancelled)
            if not self._flights.wait(keys, until, is_cancelled):
                return _not_waited_for(ranked, self._policy, is_cancelled())
            if joined := self._joined(wanted, ranked, wish, since):
                return joined

    def _joined(self, wanted: Wanted, ranked: Sequence[Ranked], wish: str, since: datetime) -> Outcome | None:
        """What another one has had made of the same wish, or of the same key, since this one was asked."""
        if settled := self._settled(wanted):
            return settled
        key = self._cache.landed(wish, since)
        cached = self._cache.look(key, "joined") if key else None
        return replace(_of_cache(cached, ranked), joined=True) if cached else None

    def _remembered(self, wanted: Wanted, ranked: Sequence[Ranked]) -> Outcome | None:
        """What the cache has of the best candidate, of a better one that cannot be asked now, or of one so near to it that a
        queue alone may have had it chosen."""
        if wanted.fresh:
            return None
        weights = self._policy.weights
        best = max((one.calm for one in ranked if one.is_open), default=0.0)
        near = best - weights.queue / weights.total / 2
        for one in sorted((one for one in ranked if one.able and one.calm >= near), key=lambda one: -one.calm):
            if cached := self._cache.look(_content_key(wanted, one)):
                return _of_cache(cached, ranked)
        return None

    def _asked(self, wanted: Wanted, ranked: Sequence[Ranked], wish: str, is_cancelled: Callable[[], bool]) -> Outcome:
        """Nobody else is at this wish or this key now: what an earlier process left open, it will not end any more."""
        self._cache.count("misses")
        for row in self._earlier(wanted):
            if row.state == "reserved":
                self._budgets.lose(row.id)
        job = Job(
            wanted.key,
            wanted.principal,
            wanted.campaign,
            lambda one: _content_key(wanted, one),
            self._earlier(wanted),
        )
        look = self._looker(wanted)
        run: Run[Cached] = self._failover.run(job, ranked, look, self._cache.saved, is_cancelled)
        if run.by and run.made:
            key = _content_key(wanted, run.by)
            self._cache.keep(key, run.by.model, run.made, run.images)
            self._cache.land(wish, key)
        if run.by and run.blocked:
            self._cache.block(wanted.request, run.by.model, run.blocked)
        return _outcome(run, ranked, self._cost(wanted))

    def _looker(self, wanted: Wanted) -> Callable[[Ranked], Cached | None]:
        return lambda one: None if wanted.fresh else self._cache.look(_content_key(wanted, one))

    def _replayed(self, wanted: Wanted, rows: Sequence[CallRow]) -> Outcome | None:
        for row in reversed(rows):
            if row.outcome == MADE:
                images = self._cache.revived(row.images)
                if images is None:
                    why = "this key's pictures were made and paid, and are not kept any more; ask under another key"
                    return Outcome("failed", provider=row.provider, model=row.model, error=why, code="lost")
                return Outcome("made", images, row.provider, row.model, self._cost(wanted), notes=(_REPLAYED,))
            if row.outcome == "blocked":
                stage, categories = row.usage.get("stage"), tuple(row.usage.get("categories", ()))
                attempt = Attempt(row.model, row.provider, "blocked", row.code, row.message, 0, 0.0, stage, categories)
                return _blocked(attempt, (), self._cost(wanted), (_REPLAYED,))
        return None

    def _batched(self, wanted: Wanted) -> Outcome | None:
        with self._books.read() as (connection, brand):
            batch = open_batch_of(connection, brand, wanted.key)
        if batch is None:
            return None
        why = f"it is being made in the batch {batch}, and is not asked for once more; a batch ends within a day"
        return Outcome("failed", error=why, code="batched")

    def _refused(self, wanted: Wanted) -> Outcome | None:
        known = self._cache.blocked(wanted.request)
        if known is None:
            return None
        entry, error = known
        attempt = Attempt(
            entry.model, entry.provider, "blocked", error.code, str(error), 0, 0.0, error.stage, error.categories
        )
        note = f"{entry.model} refused these words at {entry.created_at:%Y-%m-%d %H:%M} UTC: nobody was asked again"
        return _blocked(attempt, (), 0, (note,))

    def _earlier(self, wanted: Wanted) -> list[CallRow]:
        with self._books.read() as (connection, brand):
            return calls_of(connection, brand, wanted.key)

    def _cost(self, wanted: Wanted) -> int:
        return sum(row.counted for row in self._earlier(wanted))

    def _found(self, wanted: Wanted) -> list[Found]:
        if wanted.provider is not None:
            return self._registry.named(wanted.provider, today(self._clock))
        return [Found(model) for model in self._registry.models]

    def _ranked(self, wanted: Wanted, found: Sequence[Found]) -> list[Ranked]:
        return rank(
            found,
            wanted.request,
            today(self._clock),
            self._standings.now(wanted.request.content_type),
            self._budgets.room(wanted.campaign),
            self._policy,
            campaign=wanted.campaign,
            seed_required=wanted.seed_required,
        )

    def _sweep_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._swept > _SWEPT_EVERY_SECONDS:
            self._swept = now
            self._budgets.sweep()
            self._cache.tidy_if_due()


def _wish(wanted: Wanted) -> str:
    """Who has the same wish waits for the same pictures; a fresh one has nothing in common with others."""
    return wish_key(wanted.request, wanted.provider, wanted.seed_required, wanted.key if wanted.fresh else None)


def _content_key(wanted: Wanted, one: Ranked) -> str:
    key = content_key(one.model, one.request)
    return wish_key(one.request, key, wanted.key) if wanted.fresh else key


def _of_cache(cached: Cached, ranked: Sequence[Ranked]) -> Outcome:
    candidates = tuple(one.candidate for one in ranked)
    differs = next((one.differs for one in ranked if one.model.id == cached.model), ())
    notes = (*differs, *cached.notes)
    return Outcome("made", cached.images, cached.provider, cached.model, 0, candidates, cached=True, notes=notes)


def _outcome(run: Run[Cached], ranked: Sequence[Ranked], cost: int) -> Outcome:
    candidates = tuple(
        replace(one.candidate, rejected=one.candidate.rejected or run.rejected.get(one.model.id)) for one in ranked
    )
    attempts = tuple(run.attempts)
    if run.found is not None:
        return replace(_of_cache(run.found, ranked), candidates=candidates, attempts=attempts, cost=cost)
    if run.by is not None and run.made is not None:
        model = run.by.model
        notes = (*run.by.differs, *run.made.notes)
        return Outcome("made", run.made.images, model.provider, model.id, cost, candidates, attempts, notes=notes)
    if run.blocked is not None:
        return replace(_blocked(attempts[-1], candidates, cost, ()), attempts=attempts)
    code = run.code
    if code == "no_candidate" and any(one.score is not None and "budget" in (one.rejected or "") for one in candidates):
        code = "budget"
    error = _why(code, candidates, attempts)
    return Outcome("failed", cost=cost, candidates=candidates, attempts=attempts, error=error, code=code)


def _blocked(attempt: Attempt, candidates: tuple[Candidate, ...], cost: int, notes: tuple[str, ...]) -> Outcome:
    return Outcome(
        "blocked", (), attempt.provider, attempt.model, cost, candidates, (attempt,), notes=notes, error=attempt.message
    )


def _not_waited_for(ranked: Sequence[Ranked], policy: ImagePolicy, cancelled: bool) -> Outcome:
    candidates = tuple(one.candidate for one in ranked)
    if cancelled:
        return Outcome("failed", candidates=candidates, error=_SAID["cancelled"], code="cancelled")
    why = f"the same is being made by another one, and has not come in {policy.join_seconds:.0f} s; ask again later"
    return Outcome("failed", candidates=candidates, error=why, code="waited")


_SAID = {
    "no_candidate": "nobody can make it now",
    "budget": "it would cost more than may be spent",
    "attempts": "it was tried as often as `attempts` of images.yaml allows, in vain",
    "uncertain": "an answer was lost: it may have been made and billed, and is not asked for once more",
    "cancelled": "it is not wanted any more",
}


def _why(code: str, candidates: Sequence[Candidate], attempts: Sequence[Attempt]) -> str:
    told = [f"{one.model}: {one.message}" for one in reversed(attempts)]
    told += [f"{one.model}: {one.rejected}" for one in candidates if one.rejected and one.score is not None]
    told += [f"{one.model}: {one.rejected}" for one in candidates if one.rejected and one.score is None]
    few = "; ".join(dict.fromkeys(told[:_REASONS]))
    return f"{_SAID[code]}: {few}" if few else _SAID[code]
