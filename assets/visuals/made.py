"""What was made, as rows: a picture each, or the reason why there is none; and each check of each picture.

Belongs here: the columns and what is put into them. Does not belong here: making and reading pictures.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from assets.visuals.gallery import Hung
    from assets.visuals.orders import Made, Order

VISUALS: dict[str, pl.DataType] = {
    "brief": pl.String(),
    "brief_hash": pl.String(),
    "picture": pl.String(),
    "state": pl.String(),
    "content_type": pl.String(),
    "language": pl.String(),
    "width": pl.Int64(),
    "height": pl.Int64(),
    "provider": pl.String(),
    "model": pl.String(),
    "why": pl.String(),
    "seed": pl.Int64(),
    "picture_score": pl.Float64(),
    "checks": pl.String(),
    "cost_micros": pl.Int64(),
    "kit_version": pl.String(),
    "sku": pl.String(),
    "campaign": pl.String(),
    "media_type": pl.String(),
    "sha256": pl.String(),
    "made_at": pl.Datetime("us", "UTC"),
}
QUALITY: dict[str, pl.DataType] = {
    "picture": pl.String(),
    "brief": pl.String(),
    "check": pl.String(),
    "status": pl.String(),
    "score": pl.Float64(),
    "message": pl.String(),
}


def rows_of(brief: Mapping[str, Any], order: "Order", made: "Made") -> list[dict[str, Any]]:
    """A row of `VISUALS` for each picture of an order; one without a picture where none was made."""
    asked = {
        "brief": brief["brief"],
        "brief_hash": brief["brief_hash"],
        "content_type": order.content_type,
        "language": order.language if order.layout else None,
        "width": order.width,
        "height": order.height,
        "sku": order.sku,
        "campaign": order.campaign,
    }
    if not made.pictures:
        why = made.error or (made.notes[0] if made.notes else made.state)
        return [dict.fromkeys(VISUALS) | asked | {"state": made.state, "why": why, "cost_micros": made.cost}]
    return [
        asked
        | {
            "picture": picture.public_id,
            "state": picture.state,
            "width": picture.width,
            "height": picture.height,
            "provider": picture.provider,
            "model": picture.model,
            "why": _why(made, picture.provider),
            "seed": picture.seed,
            "picture_score": picture.score,
            "checks": json.dumps([dict(check) for check in picture.checks]),
            "cost_micros": picture.cost_micros,
            "kit_version": picture.kit_version,
            "media_type": picture.media_type,
            "sha256": picture.sha256,
            "made_at": picture.created_at,
        }
        for picture in made.pictures
    ]


def checks_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Each check of each row of `VISUALS` that has a picture: picture, brief, state, check, status, message."""
    found = [
        {
            "picture": row["picture"],
            "brief": row["brief"],
            "state": row["state"],
            "check": check["name"],
            "status": check["status"],
            "message": check["message"],
        }
        for row in rows.iter_rows(named=True)
        if row["checks"]
        for check in json.loads(row["checks"])
    ]
    names = ("picture", "brief", "state", "check", "status", "message")
    return pl.DataFrame(found, schema=dict.fromkeys(names, pl.String()))


def judged_rows(pictures: Sequence["Hung"]) -> pl.DataFrame:
    """A row of `QUALITY` for each check of each picture."""
    return pl.DataFrame(
        [
            {
                "picture": one.id,
                "brief": one.brief,
                "check": check["name"],
                "status": check["status"],
                "score": check["score"],
                "message": check["message"],
            }
            for one in pictures
            for check in one.checks
        ],
        schema=QUALITY,
    )


def _why(made: "Made", provider: str) -> str:
    """Why this provider: what it scored, and how many others were passed over and for what."""
    if not made.candidates:
        return "made before" if made.replayed else ""
    chosen = next((one for one in made.candidates if one.provider == provider and one.rejected is None), None)
    rejected = [f"{one.model}: {one.rejected}" for one in made.candidates if one.rejected]
    parts = [f"score {chosen.score:.2f}" if chosen and chosen.score is not None else "", *rejected]
    return "; ".join(part for part in parts if part)
