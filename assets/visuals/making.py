"""From an order to pictures that can be shown: asked for, finished, judged, asked for again, signed, kept.

Belongs here: the order of things, and what is recorded about them. Does not belong here: who is asked (`resources/images`), how
a picture is finished (`finishing`), judged (`quality`) or signed (`provenance`), and what calls this.

Each try has a key of its own, made of the order's. The service of pictures brings the same for the same key: so a process that
dies after a provider was paid finds its pictures again when the order is repeated, failed tries included.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assets.visuals import quality
from assets.visuals.errors import VisualsError
from assets.visuals.finishing import ENLARGED_AT_MOST, UnreadablePicture, finish
from assets.visuals.orders import Made, Order
from assets.visuals.prompts import Prompt, compose, plain, words_of
from assets.visuals.rasterising import Rasteriser
from assets.visuals.studio_provider import NAME as STUDIO
from assets.visuals.studio_provider import Layout, StudioProvider, layout_of
from resources.images.protocol import Image, ImageRequest
from resources.images.service import Outcome, Wanted
from resources.store.pictures import (
    Mark,
    Picture,
    delete_pictures,
    is_needed,
    keep_pictures,
    marks,
    pictures_by_id,
    pictures_of,
)

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.provenance import Credentials, Source
    from assets.visuals.quality import Fingerprint, NudityScorer, Report, TextReader
    from resources.images.picture_store import PictureStore
    from resources.images.service import ImageService
    from resources.store.brand_store import BrandStore

SOFTWARE = "luxauto pictures 1"
REROLLS = "LUXAUTO_PICTURE_REROLLS"
NUDITY = "LUXAUTO_NUDITY_CHECKER"
"""Names a function, `module:function`, from a picture's bytes to 0 (none) to 1."""
_MOST_REROLLS = 5
_SEEDS = 2**31
_DELETED = "its pictures were deleted; order them under another key"
_NOBODY = "no_candidate"
_ORDER_OF_STATUS = {"passed": 0, "warned": 1, "failed": 2}
ReaderOf = Callable[[str], "TextReader | None"]


@dataclass(frozen=True)
class Maker:
    """What pictures are made with. `reader` gives a reader of text for a language; `nudity` is None where none is installed.

    `credentials` None leaves pictures unsigned.
    """

    books: BrandStore
    loaded: LoadedKit
    images: ImageService
    store: PictureStore
    credentials: Credentials | None = None
    rerolls: int = 2
    reader: ReaderOf = lambda language: None
    nudity: NudityScorer | None = None


@dataclass(frozen=True)
class _Take:
    """One picture that came, finished and judged. `try_` counts from 0, `cost` is its share of its call."""

    try_: int
    image: Image
    content: bytes
    raw: bytes
    media_type: str
    report: Report
    fingerprint: Fingerprint | None
    cost: int
    provider: str
    model: str
    notes: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, float]:
        """The smallest is the best. Those that fail all have the same score, and are told apart by how much of them is well."""
        counted = [(quality.WEIGHTS.get(check.name, 0), check.score or 0.0) for check in self.report.checks]
        well = sum(weight * score for weight, score in counted)
        return _ORDER_OF_STATUS.get(self.report.status, 2), -(self.report.score + well / 1000)


@dataclass
class _Work:
    """An order as far as it has come."""

    order: Order
    prompt: Prompt
    layout: Layout | None
    outcomes: list[Outcome] = field(default_factory=list)
    takes: list[_Take] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    at_once: int = 1
    rerolls: int = 0

    @property
    def passing(self) -> int:
        return sum(take.report.status != "failed" for take in self.takes)

    @property
    def cost(self) -> int:
        return sum(outcome.cost for outcome in self.outcomes)


def open_maker(
    books: BrandStore,
    loaded: LoadedKit,
    *,
    signed: bool = True,
    images: ImageService | None = None,
    given: Mapping[str, Any] | None = None,
    nudity: NudityScorer | None = None,
) -> Maker:
    """With the installation's providers, keys and folders. `given` are further providers by their model's id.

    Raises VisualsError where a setting cannot be used, and what opening the registry raises.
    """
    from assets.visuals.brand_credentials import credentials_of
    from assets.visuals.text_reader import find_text_reader
    from resources.images.adapters import open_images
    from resources.images.picture_store import open_picture_store

    service = images or open_images(books, {**providers_here(loaded), **(given or {})})
    credentials = credentials_of(books.settings, loaded.kit.name) if signed else None
    return Maker(
        books,
        loaded,
        service,
        open_picture_store(books.settings),
        credentials,
        _rerolls(),
        find_text_reader,
        nudity or _nudity(),
    )


def providers_here(loaded: LoadedKit) -> dict[str, Any]:
    """What of this floor the service is given: makers of pictures by their model's id, and who turns markup into pixels."""
    from resources.images.adapters import RASTERISE

    return {STUDIO: StudioProvider(loaded), RASTERISE: Rasteriser()}


def make(maker: Maker, order: Order, is_cancelled: Callable[[], bool] = lambda: False) -> Made:
    """Have an order's pictures made, once: the same key brings the same pictures.

    Raises ForbiddenWords and other VisualsError for an order that nobody is asked for; RegistryError for a provider's name that
    nothing has. A provider's refusal and failure are answers.
    """
    began = time.monotonic()
    earlier = find_made(maker, order)
    if earlier is not None:
        return earlier
    work = _begun(maker, order)
    most = min(order.rerolls if order.rerolls is not None else maker.rerolls, _MOST_REROLLS)
    earlier_marks = _marks(maker, work)
    while work.passing < order.count and not is_cancelled():
        again = len(work.takes) >= order.count
        if again and (work.rerolls >= most or work.outcomes[-1].provider == STUDIO):
            break
        work.rerolls += again
        outcome = _asked(maker, work, is_cancelled)
        work.outcomes.append(outcome)
        if outcome.state == "failed" and outcome.code == _NOBODY and work.at_once > 1:
            # Some make one picture a call.
            work.at_once = 1
            continue
        if outcome.state != "made":
            break
        number = len(work.outcomes) - 1
        for image in outcome.images:
            work.takes.append(_taken(maker, work, outcome, image, number, earlier_marks))
    if not work.takes:
        return _nothing(work, time.monotonic() - began)
    return _kept(maker, work, time.monotonic() - began)


def wanted_of(maker: Maker, order: Order) -> Wanted:
    """What the service would be asked for an order, for those who want to know who would be chosen. Raises as `make`."""
    work = _begun(maker, order)
    return _wanted(maker, work, 0, order.count)


def find_made(maker: Maker, order: Order) -> Made | None:
    """What an order brought before; None where it brought nothing yet."""
    with maker.books.read() as (connection, brand):
        rows = pictures_of(connection, brand, order.request_key)
    if not rows:
        return None
    if all(row.state == "deleted" for row in rows):
        return Made("failed", order.request_id, error=_DELETED, code="deleted")
    said = rows[0].details.get("order", {})
    return Made(
        "made",
        order.request_id,
        tuple(row for row in rows if row.state != "deleted"),
        rows[0].provider,
        rows[0].model,
        said.get("cost", 0),
        said.get("seconds", 0.0),
        said.get("tries", 1),
        said.get("cached", False),
        said.get("joined", False),
        replayed=True,
        notes=tuple(said.get("notes", ())),
    )


def delete(
    books: BrandStore, store: PictureStore, by: str, order_keys: Sequence[str] = (), picture_ids: Sequence[str] = ()
) -> list[Picture]:
    """Take back what orders brought, or pictures: rows say `deleted`, and bytes go that nothing else needs.

    Gives what was deleted now. Doing so again changes nothing, and finishes what a dead process left. What the cache remembers
    of a provider's answer stays there until it is evicted.
    """
    keys = [Order(key).request_key for key in order_keys]
    with books.write() as (connection, brand):
        rows = [row for key in keys for row in pictures_of(connection, brand, key)]
        rows += pictures_by_id(connection, brand, list(picture_ids))
        gone = delete_pictures(connection, brand, [row.public_id for row in rows], by, datetime.now(UTC))
    of_rows = [row.details.get(name) for row in rows for name in ("markup", "poster")]
    remove_bytes(books, store, [*(row.sha256 for row in rows), *(sha for sha in of_rows if sha)])
    return gone


def remove_bytes(books: BrandStore, store: PictureStore, sums: Sequence[str]) -> None:
    """Remove bytes that no row needs any more."""
    for sha256 in dict.fromkeys(sums):
        with books.read() as (connection, _):
            needed = is_needed(connection, sha256)
        if not needed:
            store.delete(sha256)


# Asking


def _begun(maker: Maker, order: Order) -> _Work:
    kit = maker.loaded.kit
    layout, product = _layout(maker, order), order.product or (order.layout.product if order.layout else None)
    words = order.prompt or (words_of(order.layout, order.language) if order.layout else "")
    if not (plain(words) or order.shot or product) and layout is not None:
        # A logo or a pattern is of the brand itself.
        words = f"{order.content_type.replace('_', ' ')} of {kit.name}"
    prompt = compose(kit, order.preset, words, shot=order.shot, product=product, negative=order.negative)
    work = _Work(order, prompt, layout, at_once=order.count)
    if prompt.left_out:
        work.notes.append(f"the prompt is so long that of the kit these were left out: {', '.join(prompt.left_out)}")
    return work


def _layout(maker: Maker, order: Order) -> Layout | None:
    if order.layout is not None:
        return Layout(order.layout, order.language, order.photo, prompted=bool(plain(order.prompt)))
    prompted = bool(plain(order.prompt))
    return layout_of(
        maker.loaded.kit,
        order.content_type,
        order.preset,
        order.language,
        order.product,
        order.photo,
        prompted=prompted,
    )


def _wanted(maker: Maker, work: _Work, number: int, count: int) -> Wanted:
    order = work.order
    request = ImageRequest(
        prompt=work.prompt.text,
        content_type=order.content_type,
        width=order.width,
        height=order.height,
        quality=order.quality,
        count=count,
        format=order.format,
        negative=work.prompt.negative,
        seed=_seed(work, number),
        references=() if order.photo is None else (order.photo,),
        transparent=bool(order.layout and order.layout.transparent),
        kit_version=maker.loaded.version,
        layout=work.layout,
    )
    key = _try_key(order.request_key, number)
    return Wanted(request, key, order.principal, order.campaign, order.provider, fresh=number > 0)


def _try_key(request_key: str, number: int) -> str:
    return request_key if number == 0 else f"{request_key}#{number}"


def _seed(work: _Work, number: int) -> int | None:
    """Another one for each try, where seeds mean something to who made the first."""
    if number == 0:
        return work.order.seed
    first = next((take.image.seed for take in work.takes if take.image.seed is not None), work.order.seed)
    if first is None:
        return None
    return int.from_bytes(hashlib.sha256(f"{first}:{number}".encode()).digest()[:4], "big") % _SEEDS


def _asked(maker: Maker, work: _Work, is_cancelled: Callable[[], bool]) -> Outcome:
    """What the service answers. A process that died had asked by the same key, and finds its pictures again."""
    missing = max(work.order.count - work.passing, 1)
    return maker.images.make(_wanted(maker, work, len(work.outcomes), min(missing, work.at_once)), is_cancelled)


# Finishing and judging


def _taken(maker: Maker, work: _Work, outcome: Outcome, image: Image, number: int, earlier: Sequence[Mark]) -> _Take:
    from assets.visuals.provenance import verify

    order = work.order
    brings = verify(image.content).state
    said = _said(maker, work, outcome, image)
    notes = []
    try:
        finished = finish(
            image.content, (order.width, order.height), order.format, _as_text(said), whole=brings == "absent"
        )
    except UnreadablePicture as error:
        # The judge says the same of the bytes, and fails them.
        content, media_type, enlarged, notes = image.content, image.media_type, 1.0, [str(error)]
    else:
        content, media_type, enlarged, notes = (
            finished.content,
            finished.media_type,
            finished.enlarged,
            [*finished.notes],
        )
    if brings == "invalid":
        notes.append("it brought content credentials that are broken; they were left out")
    report = _judged(maker, work, outcome, content, enlarged, earlier)
    return _Take(
        number,
        image,
        content,
        image.content if brings in ("trusted", "untrusted") else b"",
        media_type,
        report,
        quality.fingerprint(content) if report.width else None,
        _share(outcome, image),
        outcome.provider or "",
        outcome.model or "",
        tuple(notes),
    )


def _judged(
    maker: Maker, work: _Work, outcome: Outcome, content: bytes, enlarged: float, earlier: Sequence[Mark]
) -> Report:
    order = work.order
    texts = _texts(work) if outcome.provider == STUDIO else []
    report = quality.judge(
        content,
        palette=list(maker.loaded.kit.palette.colours().values()),
        size=(order.width, order.height),
        others=_alike(maker, content, earlier),
        texts=texts,
        reader=maker.reader(order.language) if texts else None,
        nudity=maker.nudity,
    )
    if enlarged <= ENLARGED_AT_MOST or not report.width:
        return report
    message = f"it was enlarged {enlarged:.2f} times: it shows no more than it did before"
    return replace(
        report, checks=(*report.checks, quality.Check("enlarged", "warned", None, round(enlarged, 2), message))
    )


def _texts(work: _Work) -> list[str]:
    """What should be read on a page. A logo's name is a drawing."""
    if work.layout is None or work.layout.brief.template in ("logo", "pattern"):
        return []
    said = work.layout.brief.words(work.layout.language)
    product = work.layout.brief.product
    return [text for text in (said.headline or (product.name if product else ""), said.body) if text]


def _asked_for(work: _Work, provider: str | None) -> str:
    """What is to be seen. A page of the kit alone shows the same whatever the prompt says."""
    of_the_kit = provider == STUDIO and work.layout is not None and work.layout.of_the_kit
    return work.layout.hash if of_the_kit and work.layout else work.order.asked


def _marks(maker: Maker, work: _Work) -> list[Mark]:
    """Of pictures that this order must not repeat: not those of its own brief, nor those of the very same wish."""
    order = work.order
    with maker.books.read() as (connection, brand):
        found = marks(connection, brand)
    same = {order.asked, _asked_for(work, STUDIO)}
    return [
        mark
        for mark in found
        if mark.request_key != order.request_key
        and mark.asked not in same
        and (order.brief is None or mark.brief != order.brief)
    ]


def _alike(maker: Maker, content: bytes, earlier: Sequence[Mark]) -> dict[str, Fingerprint]:
    """Earlier pictures that may be the same by their 64 bits, with all that is needed to tell."""
    try:
        own = quality.fingerprint(content)
    except Exception:
        return {}
    most = quality.Limits().duplicate_bits
    found = {}
    for mark in earlier:
        there = int(mark.fingerprint[:16], 16)
        if min((own.bits ^ there).bit_count(), (own.mirrored ^ there).bit_count()) > most:
            continue
        if maker.store.exists(mark.sha256):
            found[mark.public_id] = quality.fingerprint(maker.store.get(mark.sha256))
    return found


def _share(outcome: Outcome, image: Image) -> int:
    """Its part of the call's cost; the first bears what cannot be divided."""
    each, left_over = divmod(outcome.cost, len(outcome.images))
    return each + (left_over if image is outcome.images[0] else 0)


# Signing and keeping


def _kept(maker: Maker, work: _Work, seconds: float) -> Made:
    order = work.order
    chosen = sorted(work.takes, key=lambda take: take.rank)[: order.count]
    notes = [*work.notes, *(note for outcome in work.outcomes for note in outcome.notes)]
    if len(chosen) < order.count:
        notes.append(f"{len(chosen)} of {order.count} pictures came")
    looks = [take.fingerprint.bits for take in chosen if take.fingerprint and take.provider == STUDIO]
    if len(set(looks)) < len(looks):
        notes.append("the layout has one look for these words: some of its variations are equal")
    first = next(outcome for outcome in work.outcomes if outcome.state == "made")
    last = work.outcomes[-1]
    if last.state != "made":
        notes.append(f"more was asked for in vain: {last.error or last.state}")
    told = {
        "cost": work.cost,
        "seconds": round(seconds, 3),
        "tries": sum(outcome.state == "made" for outcome in work.outcomes),
        "cached": first.cached,
        "joined": first.joined,
        "notes": list(dict.fromkeys(notes)),
    }
    rows = []
    for number, take in enumerate(chosen):
        rows.append(_row(maker, work, take, number, told, chosen))
    with maker.books.write() as (connection, brand):
        there = pictures_of(connection, brand, order.request_key)
        if not there:
            keep_pictures(connection, brand, rows)
            there = pictures_of(connection, brand, order.request_key)
    raw = [hashlib.sha256(take.image.content).hexdigest() for take in work.takes]
    # Another process may have been first with the same order; what it wrote is what there is.
    remove_bytes(maker.books, maker.store, [*raw, *(row.sha256 for row in rows)])
    made = find_made(maker, order)
    assert made is not None
    known = {one.model: one for outcome in work.outcomes for one in outcome.candidates}
    return replace(
        made,
        replayed=False,
        candidates=tuple(known.values()),
        attempts=tuple(attempt for outcome in work.outcomes for attempt in outcome.attempts),
    )


def _row(
    maker: Maker, work: _Work, take: _Take, number: int, told: Mapping[str, Any], chosen: Sequence[_Take]
) -> Picture:
    order, report = work.order, take.report
    outcome = work.outcomes[take.try_]
    said = _said(maker, work, outcome, take.image)
    final = _signed(maker, work, take, said)
    drawing = _safe_markup(take.image)
    markup = maker.store.put(drawing.encode()) if drawing else None
    details = {
        "order": dict(told),
        "request_id": order.request_id,
        "asked": _asked_for(work, take.provider),
        "prompt_hash": work.prompt.hash,
        "preset": order.preset,
        "language": order.language,
        "quality": order.quality,
        "layout": order.layout.hash if order.layout else None,
        "markup": markup,
        "told": {name: take.image.details[name] for name in ("alt", "title") if name in take.image.details},
        "signed": final is not take.content,
        "status": report.status,
        "notes": list(take.notes),
        "tries": [_tried(one, one in chosen) for one in work.takes],
        "candidates": [_plain(one) for one in outcome.candidates],
        "attempts": [_plain(one) for other in work.outcomes for one in other.attempts],
    }
    prints = take.fingerprint
    return Picture(
        public_id=order.picture_id(number),
        request_key=order.request_key,
        content_type=order.content_type,
        provider=take.provider,
        model=take.model,
        sha256=maker.store.put(final),
        media_type=take.media_type,
        width=report.width,
        height=report.height,
        bytes=len(final),
        score=report.score,
        state="accepted" if report.status == "passed" else "needs_review",
        kit_version=maker.loaded.version,
        created_at=datetime.now(UTC),
        created_by=order.principal,
        cost_micros=take.cost,
        brief=order.brief,
        sku=order.sku,
        campaign=order.campaign,
        seed=take.image.seed,
        fingerprint=f"{prints.bits:016x}:{prints.mirrored:016x}" if prints else None,
        checks=[asdict(check) for check in report.checks],
        details=details,
    )


def _safe_markup(image: Image) -> str | None:
    """What a picture was drawn from as it may be kept and shown: through the allow-lists, as when it was drawn."""
    from assets.visuals.rasterising import cleaned_html
    from assets.visuals.svg_safety import UnsafeSvg, sanitise

    if not image.markup:
        return None
    if image.details.get("kind") == "html":
        return cleaned_html(image.markup)
    try:
        return sanitise(image.markup).markup
    except UnsafeSvg:
        return None


def _signed(maker: Maker, work: _Work, take: _Take, said: Mapping[str, str]) -> bytes:
    from assets.visuals.provenance import sign

    if maker.credentials is None or not take.report.width:
        return take.content
    source: Source = "trainedAlgorithmicMedia"
    if take.provider == STUDIO:
        source = "composite" if work.order.photo is not None else "algorithmicMedia"
    return sign(
        take.content,
        maker.credentials,
        title=said["Title"],
        software=said["Software"],
        source=source,
        said={name.removeprefix("luxauto:"): value for name, value in said.items() if name.startswith("luxauto:")},
        original=take.raw or None,
    )


def _said(maker: Maker, work: _Work, outcome: Outcome, image: Image) -> dict[str, str]:
    """What stands in a file and in its credentials: versions and hashes, and no word of the prompt."""
    order = work.order
    said = {
        "Software": SOFTWARE,
        "Title": order.brief or order.content_type.replace("_", " "),
        "luxauto:provider": outcome.provider or "",
        "luxauto:model": outcome.model or "",
        "luxauto:brand_kit": maker.loaded.version,
        "luxauto:preset": order.preset,
        "luxauto:prompt": work.prompt.hash,
        "luxauto:order": order.request_id,
    }
    if image.seed is not None:
        said["luxauto:seed"] = str(image.seed)
    if order.layout is not None:
        said |= {"luxauto:brief": order.layout.hash, "luxauto:language": order.language}
    if order.photo is not None:
        said["luxauto:photo"] = hashlib.sha256(order.photo).hexdigest()[:12]
    return said


def _as_text(said: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in said.items() if value}


def _tried(take: _Take, chosen: bool) -> dict[str, Any]:
    failed = [check.name for check in take.report.checks if check.status == "failed"]
    return {
        "try": take.try_ + 1,
        "model": take.model,
        "seed": take.image.seed,
        "cost": take.cost,
        "status": take.report.status,
        "score": take.report.score,
        "failed": failed,
        "chosen": chosen,
    }


def _nothing(work: _Work, seconds: float) -> Made:
    if not work.outcomes:
        return Made(
            "failed", work.order.request_id, error="it is not wanted any more: nobody was asked", code="cancelled"
        )
    outcome = work.outcomes[-1]
    return Made(
        "blocked" if outcome.state == "blocked" else "failed",
        work.order.request_id,
        provider=outcome.provider,
        model=outcome.model,
        cost=work.cost,
        seconds=round(seconds, 3),
        tries=len(work.outcomes),
        candidates=tuple(outcome.candidates),
        attempts=tuple(outcome.attempts),
        notes=tuple(dict.fromkeys([*work.notes, *outcome.notes])),
        error=outcome.error or "no provider brought a picture",
        code=outcome.code,
    )


def _plain(one: Any) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(one).items()}


def _nudity() -> NudityScorer | None:
    module, _, name = os.environ.get(NUDITY, "").partition(":")
    if not module:
        return None
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise VisualsError(
            f"{NUDITY}={module}:{name}: there is no such function ({error}): correct or unset it"
        ) from error


def _rerolls() -> int:
    given = os.environ.get(REROLLS, "")
    if not given:
        return 2
    if not given.isdigit() or int(given) > _MOST_REROLLS:
        raise VisualsError(
            f"{REROLLS}={given!r}: how often a failed picture is asked for again is 0 to {_MOST_REROLLS}"
        )
    return int(given)
