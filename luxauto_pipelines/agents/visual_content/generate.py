"""Pictures made for a request or a workflow's step, taken back again, and who would make them.

Belongs here: orders out of parameters, answers out of what was made, refusals. Does not belong here: making (`assets/visuals`),
and what a person decides (`review`).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from assets.visuals.briefs import CONTENT_TYPES, Brief, Product
from assets.visuals.errors import VisualsError
from assets.visuals.orders import VIDEO_TYPES, Made, Order
from assets.visuals.prompts import ForbiddenWords
from luxauto_pipelines.agents.registry import AgentError, Call
from luxauto_pipelines.agents.visual_content.errors import BudgetReached, InvalidFields, NoProvider, PictureBlocked
from luxauto_pipelines.agents.visual_content.parameters import Batch, Generation, Undoing
from luxauto_pipelines.agents.visual_content.prices import estimated_usd
from luxauto_pipelines.agents.visual_content.workshop import Workshop, workshop
from resources.card_numbers import redact
from resources.images.protocol import MICROS
from resources.images.registry import RegistryError
from resources.store.audit import record
from resources.store.pictures import Picture

if TYPE_CHECKING:
    from resources.images.service import Candidate

IMAGES = "/api/v1/luxury-automation/visual-content/images/"
AT_ONCE = 4
"""Requests of a batch that are worked on at the same time."""
_MOST_IN_A_BATCH = 100
_BUDGET, _DELETED = "budget", "deleted"
_DAY = 86_400.0


def generate(call: Call, wanted: Generation) -> dict[str, Any]:
    """Have pictures made; a repeated call gives the same ones.

    Raises InvalidFields, PictureBlocked where a filter refused them, BudgetReached, and NoProvider where nobody could.
    """
    shop = workshop(call.books)
    made = _made(shop, _order(wanted, call.key, call.principal))
    _refuse(made)
    answer = _answer(made, shop.notes)
    if not made.replayed:
        _audit(call, "visual.generate", made.request_id, _told(made))
    return answer


def batch_generate(call: Call, wanted: Batch) -> dict[str, Any]:
    """Have several orders made, some at a time. One that fails stops no other: its `error` says why."""
    requests = wanted.requests or _of_a_launch(call, wanted)
    shop = workshop(call.books)
    orders = [_order(one, _item_key(call.key, n), call.principal, wanted) for n, one in enumerate(requests)]
    pool = ThreadPoolExecutor(AT_ONCE, "visual-batch")
    with pool:
        made = list(pool.map(lambda order: _ended(shop, order), orders))
    results = [_item(order, one) for order, one in zip(orders, made, strict=True)]
    answer = {
        "success": all(one["success"] for one in results),
        "total_requests": len(results),
        "results": results,
        "images": [image for one in results for image in one["images"]],
        "cost": round(sum(one["cost"] for one in results), 6),
        "spent": round(sum(one["cost"] for one in results if not one["replayed"]), 6),
        "notes": list(shop.notes),
    }
    counts = {"requests": len(results), "failed": sum(not one["success"] for one in results), "cost": answer["cost"]}
    _audit(call, "visual.batch_generate", call.key[:200], counts)
    return answer


def delete_generated(call: Call, parameters: Undoing) -> dict[str, Any]:
    """Take back what a call made, or the pictures that are named. What is gone already stays so."""
    from assets.visuals.making import delete
    from resources.images.picture_store import open_picture_store

    keys: list[str] = []
    if call.undoes is not None:
        keys = [call.undoes.key, *(_item_key(call.undoes.key, n) for n in range(_MOST_IN_A_BATCH))]
    elif not parameters.pictures:
        raise InvalidFields(("#/pictures", "name the pictures, or the call that is to be undone"))
    gone = delete(call.books, open_picture_store(call.books.settings), call.principal, keys, parameters.pictures)
    if gone:
        named = [picture.public_id for picture in gone]
        _audit(call, "visual.delete", ",".join(named)[:500], {"pictures": named[:100]})
    return {"success": True, "deleted": [picture.public_id for picture in gone]}


def providers(call: Call, wanted: Generation) -> dict[str, Any]:
    """Who would make this, in the order in which they would be asked, and why the others would not. Asks nobody."""
    from assets.visuals.film_making import MODEL, PROVIDER
    from assets.visuals.making import wanted_of

    shop = workshop(call.books)
    order = _order(wanted, call.key or "providers", call.principal)
    if order.content_type in VIDEO_TYPES:
        note = "no model paints films here: a motion card is made of stills"
        film = {"model": MODEL, "provider": PROVIDER, "score": None, "parts": {}, "rejected": None, "note": note}
        return {"chosen": MODEL, "candidates": [film], "notes": list(shop.notes)}
    with _refusals():
        found = shop.maker.images.candidates(wanted_of(shop.maker, order))
    shown = [candidate_view(one) for one in found]
    chosen = next((one["model"] for one in shown if one["rejected"] is None), None)
    return {"chosen": chosen, "candidates": shown, "notes": list(shop.notes)}


def estimate(call: Call, wanted: Generation | Batch) -> Decimal:
    """US dollars that it may cost, of the dearest that would be asked; what was made before costs nothing.

    Raises as `generate` does for what cannot be ordered.
    """
    shop = workshop(call.books)
    if isinstance(wanted, Generation):
        orders = [_order(wanted, call.key, call.principal)]
    else:
        requests = wanted.requests or _of_a_launch(call, wanted)
        orders = [_order(one, _item_key(call.key, n), call.principal, wanted) for n, one in enumerate(requests)]
    total = Decimal(0)
    for order in orders:
        try:
            total += estimated_usd(shop.maker, [order])
        except (VisualsError, RegistryError):
            # Whoever makes it says so, for this one alone.
            continue
    return total


def candidate_view(one: "Candidate") -> dict[str, Any]:
    return {
        "model": one.model,
        "provider": one.provider,
        "score": None if one.score is None else round(one.score, 4),
        "parts": {name: round(value, 4) for name, value in one.parts.items()},
        "rejected": one.rejected,
        "note": one.note,
    }


def picture_view(picture: Picture) -> dict[str, Any]:
    """A picture as answers show it."""
    return {
        "id": picture.public_id,
        "url": IMAGES + picture.public_id,
        "state": picture.state,
        "score": picture.score,
        "provider": picture.provider,
        "model": picture.model,
        "media_type": picture.media_type,
        "width": picture.width,
        "height": picture.height,
        "seed": picture.seed,
        "cost": picture.cost_micros / MICROS,
        "alt": picture.details.get("told", {}).get("alt"),
        "why": [check["message"] for check in picture.checks if check["status"] in ("failed", "warned")],
    }


# Orders


def _item_key(key: str, number: int) -> str:
    return f"{key}/{number}"


def _order(wanted: Generation, key: str, principal: str, batch: Batch | None = None) -> Order:
    """Raises InvalidFields for words that no layout takes."""
    product = wanted.product
    said = product.model_dump(exclude_none=True) if product else None
    if product and said is not None:
        said["sku"] = (wanted.sku or "")[:80]
    of = None
    try:
        of = Product.model_validate(said) if said else None
        layout = _layout(wanted, of)
    except ValidationError as error:
        where = ("product",) if of is None and said else ()
        raise InvalidFields(*_places(error, where)) from error
    return Order(
        key,
        prompt=wanted.prompt,
        content_type=wanted.content_type,
        preset=wanted.style_preset,
        provider=wanted.provider,
        width=wanted.width,
        height=wanted.height,
        quality=wanted.quality,
        count=wanted.variations,
        format=wanted.format,
        seed=wanted.seed,
        negative=wanted.negative_prompt,
        product=of,
        layout=layout,
        language=wanted.language,
        sku=wanted.sku or (batch.sku if batch else None),
        campaign=wanted.campaign or (batch.campaign if batch else None),
        principal=principal,
    )


def _layout(wanted: Generation, product: Product | None) -> Brief | None:
    if wanted.texts is None:
        return None
    template = CONTENT_TYPES.get(wanted.content_type)
    if template is None and wanted.content_type in VIDEO_TYPES:
        template = "lookbook"
    if template is None:
        shown = ", ".join(sorted(CONTENT_TYPES))
        raise InvalidFields(("#/texts", f"a {wanted.content_type} holds no words; {shown} do"))
    said: dict[str, Any] = {
        "id": f"api-{wanted.content_type.replace('_', '-')}",
        "template": template,
        "preset": wanted.style_preset,
        "texts": {wanted.language: wanted.texts.model_dump()},
        "product": product,
    }
    return Brief.model_validate(said)


def _places(error: ValidationError, where: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for fault in error.errors():
        parts = [*where, *(str(part) for part in fault["loc"])] or ["texts"]
        found.append(("#/" + "/".join(parts), str(fault["msg"]).removeprefix("Value error, ")))
    return found


def _of_a_launch(call: Call, wanted: Batch) -> list[Generation]:
    """What a launch needs where nobody said: the shots of a product's type, its card, or the brand's own pages."""
    if wanted.product_name:
        return _of_a_product(call, wanted, wanted.product_name)
    if wanted.brand_name:
        pages = ("brand_logo", "pattern_design", "banner_ad")
        return [
            Generation(prompt=f"{page.replace('_', ' ')} of {wanted.brand_name}", content_type=page) for page in pages
        ]
    raise InvalidFields(("#/requests", "give at least one request, or the name of a product or a brand"))


def _of_a_product(call: Call, wanted: Batch, name: str) -> list[Generation]:
    product = {"name": name[:120], "type": (wanted.product_type or "")[:80]}
    card = {"prompt": f"{name}, presented on a card", "content_type": "design_mockup", "product": product}
    said: list[dict[str, Any]] = [card]
    if wanted.product_type:
        shots = workshop(call.books).maker.loaded.kit.shots
        if wanted.product_type not in shots:
            known = ", ".join(sorted(shots))
            raise InvalidFields(
                ("#/product_type", f"the brand kit has no shots of {wanted.product_type!r}; of {known}")
            )
        said = [
            {
                "prompt": f"{name}. {shot.description}",
                "content_type": shot.content_type,
                "width": shot.width,
                "height": shot.height,
                "product": product,
            }
            for shot in shots[wanted.product_type]
        ]
    return [Generation.model_validate(one) for one in said]


# What came of them


def _made(shop: Workshop, order: Order) -> Made:
    """Raises InvalidFields for what is wrong with the order itself."""
    from assets.visuals.film_making import make_film_order
    from assets.visuals.making import make

    with _refusals():
        return make_film_order(shop.maker, order) if order.content_type in VIDEO_TYPES else make(shop.maker, order)


@contextmanager
def _refusals() -> Iterator[None]:
    """What is wrong with an order, as fields."""
    try:
        yield
    except ForbiddenWords as error:
        places = [("#/" + field.replace(".", "/"), word) for field, word in error.found]
        said = "it holds {!r}, which the brand kit forbids; write it otherwise"
        raise InvalidFields(*((place, said.format(word)) for place, word in places)) from error
    except RegistryError as error:
        raise InvalidFields(("#/provider", str(error))) from error
    except VisualsError as error:
        raise InvalidFields(("#", str(error))) from error


def _ended(shop: Workshop, order: Order) -> Made | str:
    """What was made, or why nothing was: one item of a batch never stops the others."""
    try:
        made = _made(shop, order)
        _refuse(made)
        return made
    except AgentError as error:
        return redact(str(error))[:2000]
    except Exception as error:
        return redact(f"{type(error).__name__}: {error}")[:500]


def _refuse(made: Made) -> None:
    """Raises what a caller has to be told where no picture came."""
    if made.state == "made":
        return
    if made.state == "blocked":
        stage, categories = _blocked(made)
        named = f" ({', '.join(categories)})" if categories else ""
        where = {"input": "what was asked for", "output": "what came of it"}.get(stage or "", "it")
        raise PictureBlocked(f"a filter refused {where}{named}: {made.error}. Write it otherwise", stage, categories)
    if made.code == _BUDGET:
        why = _why_nobody(made)
        # A campaign's budget is for as long as it runs: by tomorrow somebody may have raised it.
        raise BudgetReached(why, _DAY if "budget of the campaign" in why else _until_midnight())
    if made.code == _DELETED:
        raise AgentError(str(made.error))
    if made.attempts and all(one.outcome == "refused" for one in made.attempts):
        asked = {one.model for one in made.attempts}
        if all(one.model in asked for one in made.candidates):
            # Everybody that may make it takes no such order, later as little as now.
            raise InvalidFields(("#", "; ".join(f"{one.model}: {one.message}" for one in made.attempts)))
    raise NoProvider(_why_nobody(made), made.candidates, made.attempts)


def _why_nobody(made: Made) -> str:
    parts = [f"{one.model}: {one.code or one.outcome}, {one.message}" for one in made.attempts]
    parts += [f"{one.model}: {one.rejected}" for one in made.candidates if one.rejected]
    # What the service adds to its reason are the first of those that follow.
    reason = (made.error or "nobody can make it").partition(": ")[0]
    return f"{reason}. {'; '.join(parts)}" if parts else reason


def _blocked(made: Made) -> tuple[str | None, tuple[str, ...]]:
    last = next((one for one in made.attempts if one.outcome == "blocked"), None)
    return (last.stage, last.categories) if last else (None, ())


def _until_midnight() -> float:
    now = datetime.now(UTC)
    return ((now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now).total_seconds()


def _answer(made: Made, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "success": True,
        "request_id": made.request_id,
        "provider": made.provider,
        "model": made.model,
        "images": [IMAGES + picture.public_id for picture in made.pictures],
        "pictures": [picture_view(picture) for picture in made.pictures],
        "quality_score": made.score,
        "generation_time": made.seconds,
        "cost": made.cost / MICROS,
        "spent": 0.0 if made.replayed else made.cost / MICROS,
        "cached": made.cached,
        "replayed": made.replayed,
        "notes": [*notes, *made.notes],
        "error": None,
    }


def _item(order: Order, made: Made | str) -> dict[str, Any]:
    if isinstance(made, str):
        nothing = {"images": [], "pictures": [], "provider": None, "quality_score": None, "cost": 0.0, "notes": []}
        nothing["replayed"] = False
        return {"request_id": order.request_id, "success": False, **nothing, "error": made}
    whole = _answer(made, ())
    names = (
        "request_id",
        "success",
        "images",
        "pictures",
        "provider",
        "quality_score",
        "cost",
        "notes",
        "error",
        "replayed",
    )
    return {name: whole[name] for name in names}


def _told(made: Made) -> dict[str, Any]:
    return {
        "pictures": [picture.public_id for picture in made.pictures],
        "provider": made.provider,
        "model": made.model,
        "cost": made.cost / MICROS,
    }


def _audit(call: Call, action: str, subject: str, details: dict[str, Any]) -> None:
    known = {"actor": call.principal, "request_id": call.request_id, "address": call.address}
    with call.books.write() as (connection, brand):
        record(connection, brand, action, subject, details, **known)
