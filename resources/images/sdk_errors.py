"""What the vendors' SDKs raise, in the words of the protocol.

Belongs here: which failure means what. Does not belong here: what is done about it (`failover`).

Both SDKs build on the same HTTP client and name the same parts (`status_code`, `response`, `body`), so one reading serves both.
What decides is the vendor's own code first, then the status, then where on the wire a call broke: before it was sent nothing
was made; after that it may have been made and billed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from resources.images.protocol import (
    Blocked,
    ImageError,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)

BLOCKED_CODES = frozenset({"moderation_blocked", "content_policy_violation", "content_filter", "safety_violation"})
NO_CREDIT_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "organization_on_hold",
        "not_enough_credits",
    }
)
CHANGE_NEEDED_CODES = frozenset(
    {"invalid_api_key", "model_not_found", "account_deactivated", "authentication_error", "permission_error"}
)
_CLIENT_GONE = 499
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError")


@dataclass(frozen=True)
class _Said:
    """An answer that is an error. `code` is the vendor's narrowest word for it."""

    status: int
    code: str
    kind: str
    message: str
    details: Mapping[str, Any]


def translated(error: Exception, name: str, most: int = 0) -> ImageError:
    """The protocol's error for what an SDK raised. `name` is the model's; `most` what a call may have cost, in millionths.

    Give what an SDK's call raised: its own errors, and ValueError for an answer that is no JSON.
    """
    status = getattr(error, "status_code", None)
    response = getattr(error, "response", None)
    if isinstance(status, int) and status >= 300:
        return from_answer(status, getattr(error, "body", None), getattr(response, "headers", {}), name)
    if response is not None or isinstance(error, ValueError):
        return Poisoned(f"{name}: its answer is not what it should be: {_short(str(error))}", "unreadable_answer", most)
    cause = error.__cause__
    if cause is None:
        return SwitchedOff(f"{name}: the SDK cannot make the call: {_short(str(error))}", "sdk_error")
    what = f"{type(cause).__name__}: {_short(str(cause)) or 'no more is known'}"
    if type(cause).__name__ in _NOT_SENT:
        return Unavailable(f"{name}: it cannot be reached; nothing was sent ({what})", "connection_error")
    code = "timeout" if "Timeout" in type(cause).__name__ else "connection_lost"
    return Uncertain(f"{name}: the call was sent and no whole answer came; it may be billed ({what})", code)


def from_answer(status: int, body: object, headers: Mapping[str, str], name: str) -> ImageError:
    """The protocol's error for an answer of this status, as of a call or of a line in a batch's file."""
    said = _said(status, body)
    code = said.code or f"http_{status}"
    what = f"{name}: {said.message} ({code}, HTTP {status})"
    if code in BLOCKED_CODES:
        stage = said.details.get("moderation_stage") or said.details.get("stage") or "input"
        categories = said.details.get("categories")
        named = tuple(str(one) for one in categories) if isinstance(categories, (list, tuple)) else ()
        return Blocked(what, code, str(stage), named)
    if status == 402 or {code, said.kind} & NO_CREDIT_CODES:
        return SwitchedOff(f"{what}. Add credit or raise the limit in the provider's account", code)
    if status < 400 or status in (401, 403, 404, 410) or code in CHANGE_NEEDED_CODES:
        return SwitchedOff(f"{what}. Check the key, the address and the model in the registry", code)
    if status == 429:
        return Throttled(what, code, retry_after(headers))
    if status in (504, _CLIENT_GONE):
        return Uncertain(f"{what}. It may have been made and billed", code)
    if status in (408, 409, 425) or status >= 500:
        return Unavailable(what, code)
    return Refused(what, code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms`, or `retry-after` in seconds or as a date; None where nothing usable is told."""
    told = headers.get("retry-after-ms")
    try:
        if told is not None:
            return max(0.0, float(told) / 1000)
        told = headers.get("retry-after")
        return None if told is None else max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told or "").timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _said(status: int, body: object) -> _Said:
    """OpenAI's SDK gives what stands under `error`; Anthropic's gives the whole body, with the code under `details`."""
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(inner, Mapping):
        return _Said(status, "", "", _short(str(inner or body or "no reason was given")), {})
    more = inner.get("details")
    more = more if isinstance(more, Mapping) else {}
    moderation = inner.get("moderation_details")
    kind = str(inner.get("type") or "")
    code = str(inner.get("code") or more.get("error_code") or kind)
    details = moderation if isinstance(moderation, Mapping) else more
    return _Said(status, code, kind, _short(str(inner.get("message") or "no reason was given")), details)


def _short(text: str) -> str:
    """In one line and never long: a proxy's HTML page can be a megabyte."""
    return " ".join(text.split())[:300]
