"""Pictures that are not urgent, many together at half the price: paid, handed in, found again and taken in, once.

Belongs here: the order of these steps, and what is written down between them. Does not belong here: the vendor's protocol
(`openai_batches`), rows (`resources/store/image_batches`), and which pictures are ordered so (`assets/visuals/batch_making`).

The budgets are charged and the batch stands in the store before anything is handed in. When it has ended, its items become
calls like others, in one transaction with its end: so whoever asks for a picture with its key gets what the batch brought, and
the sum over calls and open batches is always what the budgets say is spent. A process that was killed leaves a batch that the
next one takes up: the vendor is asked by key before anything is handed in again.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from resources.channels.transport import Clock
from resources.images.adapters import address_of, end_user_of, key_of
from resources.images.budgets import Budgets, Room, charge, correct, today
from resources.images.cache import ContentCache, Flights, content_key, key_key
from resources.images.choice import fitted
from resources.images.failover import how_of
from resources.images.openai_batches import MOST_REQUESTS, BatchReport, OpenAIBatches
from resources.images.picture_store import PictureStore, open_picture_store
from resources.images.policy import ImagePolicy, read_policy
from resources.images.protocol import (
    Blocked,
    Generated,
    ImageError,
    ImageRequest,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.registry import Model, Registry, read_registry
from resources.images.service import Wanted
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently
from resources.store.image_batches import (
    BatchItem,
    BatchRow,
    BatchState,
    batches_since,
    begin_batch,
    end_batch,
    find_batch,
    move_batch,
    open_batch_of,
    open_batches,
    touch_batch,
)
from resources.store.image_calls import Call, Ended, begin_call, calls_of, end_call

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_ITEMS = MOST_REQUESTS
ADAPTER = "openai_images"
SETTLING_SECONDS = 60.0
"""For so long a batch whose hand-in is uncertain is left alone: the vendor may not list yet what it took."""
GIVEN_UP = timedelta(days=1)
"""A batch that was never taken for so long is given up: its pictures are made otherwise."""
LOST = timedelta(days=7)
"""A batch that nobody can tell anything of for so long is taken for lost, and paid."""
Change = Literal["handed_in", "waits", "ended", "given_up"]
_T = TypeVar("_T")


class BatchError(Exception):
    """A batch that cannot be handed in now; the message says why and what to do."""


@dataclass(frozen=True)
class Piece:
    """A picture that is wanted, and the brief that it is for."""

    wanted: Wanted
    brief: str | None = None
    brief_hash: str | None = None


@dataclass(frozen=True)
class Step:
    """What was done about a batch. `done` of its items the vendor has worked off, as far as it told."""

    batch: BatchRow
    change: Change
    done: int = 0
    note: str | None = None


def open_picture_batches(
    books: BrandStore, *, environment: Mapping[str, str] | None = None, clock: Clock | None = None
) -> "PictureBatches":
    """The brand's, with the installation's registry, policy and keys. Raises RegistryError and PolicyError."""
    environment = os.environ if environment is None else environment
    registry, policy = read_registry(books.settings.home), read_policy(books.settings.home)
    vendors = {
        model.id: OpenAIBatches(
            model, address_of(model, environment), key_of(model, environment), end_user=end_user_of(books)
        )
        for model in registry.models
        if takes_batches(model)
    }
    return PictureBatches(books, registry, vendors, policy, open_picture_store(books.settings), clock)


def takes_batches(model: Model) -> bool:
    """Whether its vendor works off many requests together at half the price."""
    return model.adapter == ADAPTER and "batch" in model.supports


class PictureBatches:
    """The brand's. May be shared by threads, and used by several processes at once."""

    def __init__(
        self,
        books: BrandStore,
        registry: Registry,
        vendors: Mapping[str, OpenAIBatches],
        policy: ImagePolicy,
        store: PictureStore,
        clock: Clock | None = None,
    ) -> None:
        """`vendors` by their model's id."""
        self._books = books
        self._registry = registry
        self._vendors = vendors
        self._policy = policy
        self._clock = clock or Clock()
        self._cache = ContentCache(books, store, self._clock, policy)
        self._flights = Flights(books, self._clock, policy)

    @property
    def policy(self) -> ImagePolicy:
        return self._policy

    def unavailable(self, model: str) -> str | None:
        """Why no batch of a model can be handed in. Asks nobody."""
        vendor = self._vendors.get(model)
        return f"{model} takes no batches" if vendor is None else vendor.unavailable()

    def estimate(self, model: str, wanted: Wanted) -> int:
        """The most that it may cost in a batch, in millionths of a US dollar: half of what it costs by itself."""
        return self._vendor(model).estimate({"": fitted(self._registry.by_id[model], wanted.request)[0]})

    def room(self, campaign: str | None = None) -> Room:
        """What is left of the budgets."""
        return Budgets(self._books, self._clock, self._policy).room(campaign)

    def is_free(self, key: str) -> bool:
        """Whether nobody was ever asked for this effect, and no open batch has it."""
        with self._books.read() as (connection, brand):
            return not calls_of(connection, brand, key) and open_batch_of(connection, brand, key) is None

    def find(self, key: str) -> BatchRow | None:
        """The batch with this key."""
        with self._books.read() as (connection, brand):
            return find_batch(connection, brand, key)

    def batches(self, since: datetime | None = None) -> list[BatchRow]:
        """Open ones, oldest first; and those that were begun or ended after then."""
        with self._books.read() as (connection, brand):
            return open_batches(connection, brand) if since is None else batches_since(connection, brand, since)

    def submit(self, pieces: Sequence[Piece], key: str, model: str) -> BatchRow:
        """Pay for a batch and hand it in, once: the same `key` is the same batch, whatever is asked with it. Its pictures are
        of one campaign, or of none.

        Where the vendor does not answer, the row says so (`intent`, `unknown`) and `collect` takes it up; where it refuses, the
        batch has `failed`, and is not paid. Raises BatchError where pieces are being made already or nothing can be handed in,
        Refused for a request that the model does not take, and BudgetReached; nothing is written down then.
        """
        if (known := self.find(key)) is not None:
            return known
        if why := self.unavailable(model):
            raise BatchError(f"no batch can be handed in: {why}")
        row = self._row(pieces, key, self._registry.by_id[model])
        with self._flights.begin([key_key(_flight(key)), *(key_key(item.key) for item in row.items)]) as is_ours:
            if not is_ours:
                raise BatchError("some of its pictures are being made now; hand the batch in when they are done")
            for item in row.items:
                if not self.is_free(item.key):
                    raise BatchError(f"{item.key} was asked for before or is in an open batch; leave it out")
            self._under_lock(lambda connection, brand: self._begun(connection, brand, row))
            begun = self._again(key)
            return begun if begun.state != "intent" else self._handed_in(begun, is_new=True)

    def collect(self, keys: Sequence[str] | None = None) -> list[Step]:
        """Take up batches that were not surely handed in, and take in what ended ones brought. All open ones, or those named.

        A vendor that does not answer is a note of its step; asking again costs nothing.
        """
        chosen = [row for row in self.batches() if keys is None or row.request_key in keys]
        return [self._taken_in(row) if row.state == "submitted" else self._taken_up(row) for row in chosen]

    def standing(self, row: BatchRow) -> BatchReport:
        """Where a submitted batch stands, by the vendor; that it was asked is written down. Raises as `OpenAIBatches.poll`."""
        try:
            return self._vendor(row.model).standing(row.vendor_id or "")
        finally:
            self._touch(row)

    def is_to_be_collected(self, row: BatchRow, seconds: float) -> bool:
        """Whether `collect` would get on with an open batch. The vendor is asked about it, unless that was done within so many
        seconds; where it does not answer, there is nothing to be done, but for batches that are taken for lost.
        """
        if row.state != "submitted":
            return self.is_due(row, SETTLING_SECONDS)
        if not self.is_due(row, seconds):
            return False
        try:
            return self.standing(row).state != "submitted"
        except ImageError:
            return self._clock.now() - row.created_at > LOST

    def is_due(self, row: BatchRow, seconds: float) -> bool:
        """Whether an open batch was last asked about, or tried, so long ago."""
        return (self._clock.now() - (row.checked_at or row.created_at)).total_seconds() >= seconds

    def close(self) -> None:
        for vendor in self._vendors.values():
            vendor.close()

    # Handing in

    def _row(self, pieces: Sequence[Piece], key: str, model: Model) -> BatchRow:
        if not 1 <= len(pieces) <= MOST_ITEMS:
            raise BatchError(f"a batch has 1 to {MOST_ITEMS} pictures, not {len(pieces)}: split it")
        items = [self._item(piece, model) for piece in pieces]
        if len({item.key for item in items}) < len(items):
            raise BatchError("two of its pictures have the same key: give each its own")
        campaigns = {piece.wanted.campaign for piece in pieces}
        if len(campaigns) > 1:
            raise BatchError("its pictures are of several campaigns: hand in a batch for each")
        # Refused now, and not with the whole batch later.
        self._vendor(model.id).check({item.custom_id: _request(item.request) for item in items})
        reserved = sum(item.reserved_micros for item in items)
        return BatchRow(
            key,
            model.provider,
            model.id,
            items,
            pieces[0].wanted.principal,
            today(self._clock),
            reserved,
            self._clock.now(),
            campaign=campaigns.pop(),
        )

    def _item(self, piece: Piece, model: Model) -> BatchItem:
        if piece.wanted.request.references:
            raise Refused(f"{piece.wanted.key}: a batch takes no references; ask for it by itself", "references")
        request, _ = fitted(model, piece.wanted.request)
        most = self._vendor(model.id).estimate({"": request})
        return BatchItem(
            piece.wanted.key, content_key(model, request), most, _said(request), piece.brief, piece.brief_hash
        )

    def _begun(self, connection: "Connection", brand: int, row: BatchRow) -> None:
        if find_batch(connection, brand, row.request_key) is None:
            charge(connection, brand, row.day, row.campaign, row.reserved_micros, self._policy)
            begin_batch(connection, brand, row)

    def _handed_in(self, row: BatchRow, *, is_new: bool) -> BatchRow:
        """Hand it in. `is_new`: nobody has tried before, so that a refusal is the end of it."""
        try:
            vendor_id = self._vendor(row.model).submit(_requests(row), _vendor_key(self._books, row))
        except Uncertain as error:
            self._move(row, "unknown", error=str(error))
        except (Unavailable, Throttled) as error:
            self._move(row, row.state, error=str(error))
        except ImageError as error:
            if is_new or isinstance(error, Refused):
                self._give_up(row, error)
            else:
                self._move(row, row.state, error=str(error))
        else:
            self._move(row, "submitted", vendor_id=vendor_id)
        return self._again(row.request_key)

    def _taken_up(self, row: BatchRow) -> Step:
        """One that was not surely handed in: found by its key, or handed in, or given up."""
        if not self.is_due(row, SETTLING_SECONDS):
            return Step(row, "waits", note="it was tried a moment ago")
        with self._flights.begin([key_key(_flight(row.request_key))]) as is_ours:
            row = self._again(row.request_key)
            if not is_ours or row.state not in ("intent", "unknown"):
                return Step(row, "waits", note="another process is at it")
            try:
                found = self._vendor(row.model).find(_vendor_key(self._books, row))
            except ImageError as error:
                return self._untold(row, error, row.state)
            if found is not None:
                self._move(row, "submitted", vendor_id=found)
            elif self._clock.now() - row.created_at > GIVEN_UP:
                self._give_up(row, Unavailable("it was not taken within a day", "not_taken"))
            else:
                row = self._handed_in(row, is_new=False)
        row = self._again(row.request_key)
        change: Change = "handed_in" if row.state == "submitted" else "waits" if row.is_open else "given_up"
        return Step(row, change, note=row.error)

    def _give_up(self, row: BatchRow, error: ImageError) -> None:
        """The vendor has nothing of it: nothing is paid, and each picture may be made otherwise."""
        told = {item.custom_id: {"outcome": how_of(error), "code": error.code} for item in row.items}

        def step(connection: "Connection", brand: int) -> None:
            if end_batch(connection, brand, row.id, "failed", 0, told, self._clock.now(), str(error)):
                correct(connection, brand, row.day, row.campaign, row.reserved_micros, 0)

        self._under_lock(step)

    # Taking in

    def _taken_in(self, row: BatchRow) -> Step:
        try:
            report = self._vendor(row.model).poll(row.vendor_id or "", _requests(row))
        except ImageError as error:
            return self._untold(row, error, "submitted")
        if report.state == "submitted":
            self._touch(row)
            return Step(row, "waits", done=report.done)
        self._settle(row, report)
        return Step(self._again(row.request_key), "ended", done=report.done, note=report.error)

    def _untold(self, row: BatchRow, error: ImageError, state: BatchState) -> Step:
        """Nobody could tell about it: it is asked about again, and taken for lost in the end."""
        if self._clock.now() - row.created_at <= LOST:
            self._move(row, state, error=str(error))
            return Step(self._again(row.request_key), "waits", note=str(error))
        lost = Uncertain(f"nobody can tell what became of it: {error}", "batch_lost")
        results = {item.custom_id: lost for item in row.items}
        self._settle(row, BatchReport(row.vendor_id or "", "failed", results=results, error=str(lost)))
        return Step(self._again(row.request_key), "ended", note=str(lost))

    def _settle(self, row: BatchRow, report: BatchReport) -> None:
        """Keep the bytes, remember what came and what a filter refused, then write all down at once.

        What comes before that may be repeated, where a process is killed in between.
        """
        ends = {item.custom_id: self._kept(row, item, report.results[item.custom_id]) for item in row.items}
        told = {name: _told(end) for name, end in ends.items()}
        cost = sum(end.cost_micros for end in ends.values())
        now = self._clock.now()

        def step(connection: "Connection", brand: int) -> None:
            if not end_batch(connection, brand, row.id, report.state, cost, told, now, report.error):
                return
            for item in row.items:
                number = begin_call(connection, brand, _call(row, item))
                end_call(connection, brand, number, ends[item.custom_id], now)
            correct(connection, brand, row.day, row.campaign, row.reserved_micros, cost)

        self._under_lock(step)

    def _kept(self, row: BatchRow, item: BatchItem, result: Generated | ImageError) -> Ended:
        if isinstance(result, Generated):
            images = self._cache.saved(result)
            self._cache.keep(item.content_key, self._registry.by_id[row.model], result, images)
            return Ended("settled", "made", result.cost, images=images, usage=result.usage)
        if isinstance(result, Blocked):
            self._cache.block(_request(item.request), self._registry.by_id[row.model], result)
        how, cost = how_of(result), getattr(result, "cost", 0)
        if how == "uncertain":
            return Ended("uncertain", how, item.reserved_micros, result.code, str(result))
        stage = {"stage": result.stage, "categories": list(result.categories)} if isinstance(result, Blocked) else {}
        state = "settled" if cost or how == "poisoned" else "released"
        return Ended(state, how, cost, result.code, str(result), usage=stage)

    # Rows

    def _vendor(self, model: str) -> OpenAIBatches:
        """Raises SwitchedOff where the registry has the model no more."""
        if model not in self._vendors:
            raise SwitchedOff(f"{model} takes no batches any more: put it back into image_models.yaml", "unavailable")
        return self._vendors[model]

    def _again(self, key: str) -> BatchRow:
        row = self.find(key)
        assert row is not None
        return row

    def _move(self, row: BatchRow, to: BatchState, *, vendor_id: str | None = None, error: str | None = None) -> None:
        now = self._clock.now()
        self._under_lock(
            lambda connection, brand: move_batch(
                connection, brand, row.id, [row.state], to, now, vendor_id=vendor_id, error=error
            )
        )

    def _touch(self, row: BatchRow) -> None:
        self._under_lock(lambda connection, brand: touch_batch(connection, brand, row.id, self._clock.now()))

    def _under_lock(self, step: Callable[["Connection", int], _T]) -> _T:
        """One transaction under the lock of the budgets."""

        def work() -> _T:
            with self._books.read() as (_, brand):
                pass
            with self._books.store.write(f"images:budgets:{brand}") as connection:
                return step(connection, brand)

        return patiently(work)


def _flight(key: str) -> str:
    return f"batch:{key}"


def _vendor_key(books: BrandStore, row: BatchRow) -> str:
    """What the vendor knows it by. Another brand or installation with the same account has other ones."""
    return f"{books.settings.brand}/{row.request_key}/{row.created_at.isoformat()}"


def _requests(row: BatchRow) -> dict[str, ImageRequest]:
    return {item.custom_id: _request(item.request) for item in row.items}


def _said(request: ImageRequest) -> dict[str, Any]:
    """A request as rows have it. Whoever works off batches looks at no layout, and takes no references."""
    said = {name: value for name, value in vars(request).items() if name not in ("references", "layout", "options")}
    return {**said, "options": dict(request.options)}


def _request(said: Mapping[str, Any]) -> ImageRequest:
    return ImageRequest(**said)


def _call(row: BatchRow, item: BatchItem) -> Call:
    return Call(
        key=item.key,
        provider=row.provider,
        model=row.model,
        content_key=item.content_key,
        reserved_micros=item.reserved_micros,
        day=row.day,
        started_at=row.created_at,
        principal=row.principal,
        campaign=row.campaign,
    )


def _told(end: Ended) -> dict[str, Any]:
    """What is written down of an item beside the batch; its call has the rest."""
    said = {name: value for name, value in asdict(end).items() if name in ("outcome", "cost_micros", "code")}
    return {**said, "message": end.message[:300], "images": [image["sha256"] for image in end.images]}
