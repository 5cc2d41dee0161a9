"""From an order for a film to a motion card that can be shown: its stills chosen, drawn, judged, signed, kept.

Belongs here: which stills a film has, and what is recorded. Does not belong here: how a film is drawn, judged and signed
(`motion`), and orders of pictures (`making`).

No model paints these films: they move over the brand's own pictures, or else over pages of the studio.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assets.visuals import quality
from assets.visuals.briefs import Brief, Texts
from assets.visuals.making import Maker, find_made
from assets.visuals.orders import Made, Order
from assets.visuals.prompts import plain, refuse_forbidden
from resources.images.policy import read_policy
from resources.store.pictures import SHOWN_STATES, Picture, keep_pictures, list_pictures, pictures_of

if TYPE_CHECKING:
    from assets.visuals.motion import Film, FilmPlan, Still
    from assets.visuals.motion.judge import FilmReport

PROVIDER, MODEL = "motion", "motion-card"
_MOST_STILLS = 4
_SHORTEST_STILL = 512


def make_film_order(maker: Maker, order: Order) -> Made:
    """Have a film made, once: the same key brings the same film.

    Raises ForbiddenWords, and other VisualsError of what cannot be drawn.
    """
    from assets.visuals.motion import judge_film, make_film
    from assets.visuals.motion.credentials import signed_film

    began = time.monotonic()
    earlier = find_made(maker, order)
    if earlier is not None:
        return earlier
    if why := _why_not(maker, order):
        return Made("failed", order.request_id, error=why, code="no_candidate")
    refuse_forbidden(maker.loaded.kit, {"prompt": order.prompt})
    plan, notes = _plan(maker, order)
    film = make_film(maker.loaded, plan)
    report = judge_film(film.content, size=plan.size, seconds=plan.seconds, fps=plan.fps)
    if maker.credentials is not None:
        film = signed_film(film, plan.stills, maker.credentials)
    poster = quality.judge(film.poster, palette=list(maker.loaded.kit.palette.colours().values()), size=plan.size)
    seconds = time.monotonic() - began
    row = _row(maker, order, plan, film, report, poster, [*notes, *film.notes], seconds)
    with maker.books.write() as (connection, brand):
        if not pictures_of(connection, brand, order.request_key):
            keep_pictures(connection, brand, [row])
    made = find_made(maker, order)
    assert made is not None
    return replace(made, replayed=False)


def _why_not(maker: Maker, order: Order) -> str | None:
    if order.provider not in (None, PROVIDER):
        return f"{order.provider} makes no films here; nobody paints any: leave `provider` out for a motion card"
    only = read_policy(maker.books.settings.home).only.get(order.content_type)
    if only is not None and not {PROVIDER, MODEL} & set(only):
        return f"by the rules of images.yaml, {order.content_type} comes from {', '.join(only) or 'nobody'} only"
    return None


def _plan(maker: Maker, order: Order) -> tuple[FilmPlan, list[str]]:
    from assets.visuals.motion import CONTENT_TYPES, FilmPlan

    stills, notes = _stills(maker, order)
    texts = (
        order.layout.words(order.language)
        if order.layout
        else Texts.model_validate({"headline": maker.loaded.kit.tagline[:160]})
    )
    if plain(order.prompt):
        notes.append("a motion card moves over stills: it painted nothing of the prompt")
    return FilmPlan(
        tuple(stills),
        (order.width - order.width % 2, order.height - order.height % 2),
        CONTENT_TYPES[order.content_type].seconds,
        texts=texts,
        language=order.language,
        preset=order.preset,
        brief=order.layout.hash if order.layout else "",
        seed=order.seed if order.seed is not None else 1,
    ), notes


def _stills(maker: Maker, order: Order) -> tuple[list[Still], list[str]]:
    """The order's own layout or photograph; else the newest pictures of its SKU or of the brand; else a page of the studio."""
    from assets.visuals.motion import Still, stills_of

    size = (order.width, order.height)
    if order.layout is not None:
        return list(stills_of(maker.loaded, order.layout, size, order.language, order.photo)), []
    if order.photo is not None:
        return [Still("photo", order.photo)], []
    with maker.books.read() as (connection, brand):
        found = list_pictures(connection, brand, states=SHOWN_STATES, sku=order.sku, limit=50)
    rows = [row for row in found if _can_be_filmed(row) and maker.store.exists(row.sha256)][:_MOST_STILLS]
    if rows:
        told = f"its stills are the newest pictures{f' of {order.sku}' if order.sku else ''}: "
        return [Still(row.public_id, maker.store.get(row.sha256)) for row in rows], [
            told + ", ".join(row.public_id for row in rows)
        ]
    kit = maker.loaded.kit
    said: dict[str, Any] = {
        "id": "film",
        "template": "lookbook",
        "preset": order.preset,
        "texts": {order.language: {"headline": (kit.tagline or kit.name)[:160]}},
    }
    pages = list(stills_of(maker.loaded, Brief.model_validate(said), size, order.language))
    return pages, ["there are no accepted pictures yet: its stills are a page of the studio"]


def _can_be_filmed(row: Picture) -> bool:
    painted = row.content_type not in ("brand_logo", "pattern_design", "banner_ad", "social_media_post")
    return painted and row.media_type.startswith("image/") and min(row.width, row.height) >= _SHORTEST_STILL


def _row(
    maker: Maker,
    order: Order,
    plan: FilmPlan,
    film: Film,
    report: FilmReport,
    poster: quality.Report,
    notes: list[str],
    seconds: float,
) -> Picture:
    passed = report.status == "passed" and poster.status == "passed"
    told = {
        "cost": 0,
        "seconds": round(seconds, 3),
        "tries": 1,
        "cached": False,
        "joined": False,
        "notes": list(dict.fromkeys(notes)),
    }
    failed = "failed" in (report.status, poster.status)
    return Picture(
        public_id=order.picture_id(0),
        request_key=order.request_key,
        content_type=order.content_type,
        provider=PROVIDER,
        model=MODEL,
        sha256=maker.store.put(film.content),
        media_type=film.media_type,
        width=film.width,
        height=film.height,
        bytes=len(film.content),
        score=min(poster.score, quality.FAILED_AT_MOST) if failed else poster.score,
        state="accepted" if passed else "needs_review",
        kit_version=maker.loaded.version,
        created_at=datetime.now(UTC),
        created_by=order.principal,
        brief=order.brief,
        sku=order.sku,
        campaign=order.campaign,
        seed=plan.seed,
        checks=[asdict(check) for check in (*report.checks, *poster.checks)],
        details={
            "order": told,
            "request_id": order.request_id,
            "asked": order.asked,
            "preset": order.preset,
            "language": order.language,
            "poster": maker.store.put(film.poster),
            "signed": maker.credentials is not None,
            "length": film.seconds,
            "stills": [still.name for still in plan.stills],
        },
    )
