"""Pictures that a person should look at, and what was decided.

Belongs here: what is asked and answered. Does not belong here: the rows (`resources/store/pictures`).
"""

from datetime import UTC, datetime
from typing import Any, Literal

from luxauto_pipelines.agents.registry import Call
from luxauto_pipelines.agents.visual_content.errors import Conflict, UnknownPicture
from luxauto_pipelines.agents.visual_content.generate import picture_view
from luxauto_pipelines.agents.visual_content.parameters import Decision, ReviewQuery
from resources.store import pictures
from resources.store.audit import record

_VERDICTS: dict[str, Literal["approved", "rejected"]] = {"approve": "approved", "reject": "rejected"}


def review(call: Call, wanted: ReviewQuery) -> dict[str, Any]:
    """Pictures of a state, newest first, with their checks. `next` is what the following page begins before."""
    with call.books.read() as (connection, brand):
        found = pictures.list_pictures(
            connection, brand, states=(wanted.state,), before=wanted.before, limit=wanted.limit + 1
        )
    shown = found[: wanted.limit]
    following = shown[-1].id if len(found) > wanted.limit else None
    return {"reviews": [review_view(picture) for picture in shown], "next": following}


def decide(call: Call, wanted: Decision) -> dict[str, Any]:
    """Approve or reject a picture, once. Raises UnknownPicture, and Conflict where somebody has decided."""
    verdict = _VERDICTS[wanted.verdict]
    try:
        with call.books.write() as (connection, brand):
            picture = pictures.decide(
                connection, brand, wanted.picture_id, verdict, call.principal, wanted.note, datetime.now(UTC)
            )
            known = {"actor": call.principal, "request_id": call.request_id, "address": call.address}
            record(connection, brand, f"visual.{verdict}", picture.public_id, {"note": wanted.note}, **known)
    except pictures.UnknownPicture as error:
        raise UnknownPicture(str(error)) from error
    except pictures.AlreadyDecided as error:
        raise Conflict(str(error)) from error
    return {"success": True, "picture": review_view(picture)}


def review_view(picture: pictures.Picture) -> dict[str, Any]:
    """A picture with all that helps to decide about it."""
    return {
        **picture_view(picture),
        "content_type": picture.content_type,
        "brief": picture.brief,
        "sku": picture.sku,
        "campaign": picture.campaign,
        "checks": [dict(check) for check in picture.checks],
        "tries": list(picture.details.get("tries", ())),
        "notes": list(picture.details.get("notes", ())),
        "kit_version": picture.kit_version,
        "created_at": picture.created_at.isoformat(),
        "created_by": picture.created_by,
        "decided_at": picture.decided_at.isoformat() if picture.decided_at else None,
        "decided_by": picture.decided_by,
        "note": picture.note,
    }
