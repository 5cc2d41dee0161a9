"""Pictures that were made before, by all that decides what they look like; and one call for many who ask the same at once.

Belongs here: how a request is named, what is remembered under its name and for how long, and waiting for whoever is having the
same made. Does not belong here: the rows (`resources/store/image_cache`), bytes (`picture_store`), who is asked (`failover`).
"""

import hashlib
import json
import logging
import threading
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from resources.channels.transport import Clock
from resources.images.picture_store import MissingPicture, PictureStore
from resources.images.policy import ImagePolicy
from resources.images.protocol import Blocked, Generated, Image, ImageRequest
from resources.images.registry import Model
from resources.store import image_cache as rows
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently
from resources.store.image_cache import Entry
from resources.store.pictures import is_needed

if TYPE_CHECKING:
    from sqlalchemy import Connection

IN_USE = timedelta(seconds=60)
"""What was used so shortly before is not evicted: whoever took it may be at work with its bytes."""
UNCLAIMED = timedelta(days=7)
TIDIED_EVERY = timedelta(days=1)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """What a request brought before. `cost` in millionths of a US dollar, of the call that was paid then."""

    images: tuple[Image, ...]
    provider: str
    model: str
    cost: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CacheStatistics:
    """Since the store was made: requests answered from the cache, those that were not, those that waited for another one, and
    what was evicted; and what is kept now."""

    hits: int
    misses: int
    joined: int
    evicted: int
    entries: int
    bytes: int
    most_bytes: int


def content_key(model: Model, request: ImageRequest) -> str:
    """SHA-256 of all that decides what a model's picture looks like."""
    said = {"model": [model.provider, model.id, model.model, model.options], **_said(request)}
    return _digest(said)


def wish_key(request: ImageRequest, *more: Any) -> str:
    """SHA-256 of a request, whoever answers it, and of what else tells it from others."""
    return _digest({"more": more, **_said(request)})


def words_key(request: ImageRequest) -> str:
    """SHA-256 of what a filter judges: the words and the references. Another size of what was refused is the same."""
    said = _said(request)
    return _digest({name: said[name] for name in ("prompt", "negative", "references")})


def key_key(key: str) -> str:
    """SHA-256 of an effect's key."""
    return _digest({"key": key})


class ContentCache:
    """The brand's. Shared by all processes; may be shared by threads."""

    def __init__(self, books: BrandStore, store: PictureStore, clock: Clock, policy: ImagePolicy) -> None:
        self._books = books
        self._store = store
        self._clock = clock
        self._policy = policy

    def look(self, key: str, counted_as: str = "hits") -> Cached | None:
        """What was made under this key, and that it was used. An entry whose bytes are gone is forgotten."""
        with self._books.read() as (connection, brand):
            entry = rows.find_entry(connection, brand, key)
        if entry is None or not entry.bytes:
            return None
        images = self.revived(entry.entry["images"])
        if images is None:
            self._write(lambda connection, brand: rows.drop_entry(connection, brand, key))
            return None
        now = self._clock.now()

        def step(connection: "Connection", brand: int) -> None:
            rows.touch_entry(connection, brand, key, now)
            rows.count(connection, brand, counted_as, now)

        self._write(step)
        notes = tuple(entry.entry.get("notes", ()))
        return Cached(images, entry.provider, entry.model, entry.entry["cost"], notes)

    def saved(self, made: Generated) -> list[dict[str, Any]]:
        """Write the bytes of what came. Gives what is to be remembered of each picture."""
        return [_as_remembered(image, self._store.put(image.content)) for image in made.images]

    def revived(self, images: Sequence[Mapping[str, Any]]) -> tuple[Image, ...] | None:
        """Remembered pictures with their bytes; None where any are gone."""
        try:
            return tuple(_revived(image, self._store.get(image["sha256"])) for image in images)
        except MissingPicture as error:
            _log.warning("a remembered picture cannot be read: %s", error)
            return None

    def keep(self, key: str, model: Model, made: Generated, images: Sequence[Mapping[str, Any]]) -> None:
        """Remember what came, and make room for it where there is too much."""
        now = self._clock.now()
        size = sum(len(image.content) for image in made.images)
        said = {"images": [dict(image) for image in images], "cost": made.cost, "notes": list(made.notes)}
        entry = Entry(key, model.provider, model.id, said, max(size, 1), now, now)

        def step(connection: "Connection", brand: int) -> int:
            for image in made.images:
                # An eviction that had begun before may have taken the same bytes away.
                self._store.put(image.content)
            rows.keep_entry(connection, brand, entry)
            return rows.total(connection, brand)[1]

        if self._write(step) > self._policy.cache_bytes:
            self.evict()

    def evict(self) -> int:
        """Forget what was not used for longest until the rest is within the limit; how many entries went.

        Bytes that a picture or another entry needs stay. What is in use is not evicted, so that the limit may be passed for a
        minute.
        """

        def step(connection: "Connection", brand: int) -> int:
            now, gone = self._clock.now(), 0
            _, size = rows.total(connection, brand)
            for entry in rows.least_used(connection, brand, now - IN_USE):
                if size <= self._policy.cache_bytes:
                    break
                rows.drop_entry(connection, brand, entry.key)
                size, gone = size - entry.bytes, gone + 1
                for image in entry.entry["images"]:
                    if not is_needed(connection, image["sha256"]):
                        self._store.delete(image["sha256"])
            if gone:
                rows.count(connection, brand, "evicted", now, gone)
            return gone

        done = gone = self._write(step)
        while done == 100:
            gone += (done := self._write(step))
        return gone

    def tidy(self) -> int:
        """Forget old refusals, and delete bytes that nothing has named for a week, as those of a process that was killed.

        How many bytes' files went.
        """
        now = self._clock.now()
        before = now - timedelta(hours=max(self._policy.blocked_hours, 1.0))
        self._write(lambda connection, brand: rows.drop_notes(connection, brand, before))
        old = [sha256 for sha256, written in self._store.sums() if now - written > UNCLAIMED]

        def step(connection: "Connection", brand: int) -> int:
            unclaimed = set(old) - rows.needed_sums(connection, brand)
            for sha256 in unclaimed:
                self._store.delete(sha256)
            return len(unclaimed)

        return self._write(step) if old else 0

    def tidy_if_due(self) -> None:
        """`tidy`, once a day, by whichever process comes first: all files are listed for it."""
        now = self._clock.now()
        if self._write(lambda connection, brand: rows.take_turn(connection, brand, "tidied", now, TIDIED_EVERY)):
            self.tidy()

    def block(self, request: ImageRequest, model: Model, error: Blocked) -> None:
        """Remember that a filter refused it, so that nobody else is asked the same."""
        now = self._clock.now()
        said = {"blocked": str(error), "code": error.code, "stage": error.stage, "categories": list(error.categories)}
        entry = Entry(words_key(request), model.provider, model.id, said, 0, now, now)
        self._write(lambda connection, brand: rows.keep_entry(connection, brand, entry))

    def blocked(self, request: ImageRequest) -> tuple[Entry, Blocked] | None:
        """The refusal that is remembered of these words, within `blocked_hours`."""
        with self._books.read() as (connection, brand):
            entry = rows.find_entry(connection, brand, words_key(request))
        since = self._clock.now() - timedelta(hours=self._policy.blocked_hours)
        if entry is None or "blocked" not in entry.entry or entry.created_at <= since:
            return None
        said = entry.entry
        return entry, Blocked(said["blocked"], said["code"], said["stage"], tuple(said["categories"]))

    def land(self, wish: str, key: str) -> None:
        """Say what a request brought to those who wait for the same one."""
        now = self._clock.now()
        entry = Entry(wish, "", "", {"landed": key}, 0, now, now)
        self._write(lambda connection, brand: rows.keep_entry(connection, brand, entry))

    def landed(self, wish: str, since: datetime) -> str | None:
        """The key of what the same request brought since then."""
        with self._books.read() as (connection, brand):
            entry = rows.find_entry(connection, brand, wish)
        return None if entry is None or entry.created_at <= since else entry.entry.get("landed")

    def count(self, name: str) -> None:
        now = self._clock.now()
        self._write(lambda connection, brand: rows.count(connection, brand, name, now))

    def statistics(self) -> CacheStatistics:
        with self._books.read() as (connection, brand):
            entries, size = rows.total(connection, brand)
            found = rows.counts(connection, brand)
        return CacheStatistics(**found, entries=entries, bytes=size, most_bytes=self._policy.cache_bytes)

    def _write(self, step: Callable[["Connection", int], _T]) -> _T:
        return _written(self._books, "images:cache", step)


class Flights:
    """Requests that are being made: whoever asks the same meanwhile waits, in this process or another."""

    def __init__(self, books: BrandStore, clock: Clock, policy: ImagePolicy) -> None:
        self._books = books
        self._clock = clock
        self._policy = policy

    @contextmanager
    def begin(self, keys: Sequence[str]) -> Iterator[bool]:
        """Whether all of the keys are ours now: until the end of the block, or shortly after the end of the process."""
        owner = uuid.uuid4().hex
        if not self._claim(keys, owner):
            yield False
            return
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(owner, done), daemon=True, name="image-flight")
        keeper.start()
        try:
            yield True
        finally:
            done.set()
            keeper.join()
            self._write(lambda connection, brand: rows.end_flights(connection, brand, owner))

    def wait(self, keys: Sequence[str], until: datetime, is_cancelled: Callable[[], bool]) -> bool:
        """Wait until nobody has them made any more; False where that took until then, or the wish was cancelled."""
        pause = _FIRST_PAUSE
        while True:
            now = self._clock.now()
            with self._books.read() as (connection, brand):
                held = rows.are_held(connection, brand, keys, "", now)
            if not held:
                return True
            if now >= until or is_cancelled():
                return False
            self._clock.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _claim(self, keys: Sequence[str], owner: str) -> bool:
        def step(connection: "Connection", brand: int) -> bool:
            now = self._clock.now()
            return rows.claim_flights(connection, brand, keys, owner, now, now + self._lease)

        return self._write(step)

    def _keep(self, owner: str, done: threading.Event) -> None:
        """Renew the lease while the owner is at work."""
        while not done.wait(self._policy.lease_seconds / 3):
            try:
                lapses = self._clock.now() + self._lease
                self._write(lambda connection, brand, at=lapses: rows.renew_flights(connection, brand, owner, at))
            except Exception:
                # The lease lapses, and the same is perhaps made twice: dear, but no reason to stop what is under way.
                _log.exception("the lease of a picture's request could not be renewed")

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._policy.lease_seconds)

    def _write(self, step: Callable[["Connection", int], _T]) -> _T:
        return _written(self._books, "images:flights", step)


def _written(books: BrandStore, lock: str, step: Callable[["Connection", int], _T]) -> _T:
    def work() -> _T:
        with books.read() as (_, brand):
            pass
        with books.store.write(f"{lock}:{brand}") as connection:
            return step(connection, brand)

    return patiently(work)


def _said(request: ImageRequest) -> dict[str, Any]:
    return {
        "prompt": _normalised(request.prompt),
        "negative": _normalised(request.negative),
        "content_type": request.content_type,
        "size": [request.width, request.height],
        "quality": request.quality,
        "count": request.count,
        "format": request.format,
        "seed": request.seed,
        "transparent": request.transparent,
        "kit": request.kit_version,
        "options": dict(request.options),
        "references": [hashlib.sha256(reference).hexdigest() for reference in request.references],
        "layout": _layout(request.layout),
    }


def _layout(layout: Any) -> str | None:
    """What a layout calls itself: its hash where it has one, for no two processes may name it differently."""
    if layout is None:
        return None
    named = getattr(layout, "hash", None)
    return f"{type(layout).__name__}:{named}" if isinstance(named, str) else repr(layout)


def _normalised(words: str) -> str:
    return " ".join(unicodedata.normalize("NFC", words).split())


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _as_remembered(image: Image, sha256: str) -> dict[str, Any]:
    return {
        "sha256": sha256,
        "media_type": image.media_type,
        "width": image.width,
        "height": image.height,
        "seed": image.seed,
        "markup": image.markup,
        # What an adapter tells beside may be of any kind.
        "details": json.loads(json.dumps(dict(image.details), default=str)),
    }


def _revived(said: Mapping[str, Any], content: bytes) -> Image:
    return Image(
        content,
        said["media_type"],
        said["width"],
        said["height"],
        said["seed"],
        said["markup"],
        said.get("details", {}),
    )
