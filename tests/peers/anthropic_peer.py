"""Anthropic's Messages API on loopback: designs as structured output, billed by tokens, refused, cut off or spoiled on demand.

Requests are held against the installed SDK's own types; what those leave open is checked by hand. An unknown field is refused.
"""

import base64
import binascii
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image, UnidentifiedImageError
from pydantic import TypeAdapter, ValidationError

from tests.peers.sdk_peer import Error, Line, SdkPeer, wire_faults
from tests.peers.vendor import Asked, Fault, Reply

KEY = "sk-ant-test-77aa"
PRICES: Mapping[str, tuple[str, str]] = {
    "claude-haiku-5-5": ("0.1", "0.5"),
    "claude-sonnet-5-5": ("2", "10"),
    "claude-opus-5-5": ("4", "20"),
}
"""Dollars a million tokens: in, out."""
BANNED = ("pathogen", "exploit")
_BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "lol"}">' for n in range(10))
_BAD_SVG: Mapping[str, str] = {
    "svg_script": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><script>fetch("https://evil.example")</script>'
    '<rect width="9" height="9" fill="#b08d57" onload="alert(1)"/></svg>',
    "svg_external": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><image width="9" height="9" '
    'href="https://evil.example/x.png"/><rect width="9" height="9" fill="url(https://evil.example/#g)"/></svg>',
    "svg_bomb": f'<!DOCTYPE svg [{_BOMB}]><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>&a9;</text></svg>',
    "svg_broken": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9"',
    "svg_local_file": '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg" '
    'viewBox="0 0 9 9"><text>&x;</text></svg>',
    "not_svg": "<html><body>no drawing</body></html>",
}


class _Wrong(Exception):
    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


def _said(error: Error) -> Reply:
    told: dict[str, Any] = {"type": error.kind, "message": error.message}
    if error.details is not None:
        told["details"] = error.details
    return Reply(error.status, {"type": "error", "error": told, "request_id": "req_0"}, dict(error.headers))


def _named(error: Error) -> Callable[[], Fault]:
    return lambda: Fault("reply", reply=_said(error))


_ERRORS = {
    "spend_limit": Error(
        400, "", "This workspace has reached its spend limit", details={"error_code": "enforced_spend_limit_reached"}
    ),
    "credit_exhausted": Error(402, "", "Your credit balance is too low", "billing_error"),
    "model_not_found": Error(404, "", "model: claude-sonnet-9", "not_found_error"),
    "too_large": Error(413, "", "Request exceeds the maximum size", "request_too_large"),
    "unknown_parameter": Error(400, "", "temperature: Extra inputs are not permitted"),
}


class AnthropicPeer(SdkPeer):
    """`kind` is what it writes where both are allowed; `html` what it writes then."""

    TWISTS: ClassVar[frozenset[str]] = frozenset(
        {
            *("refusal", "max_tokens", "pause_turn", "context_exceeded", "not_json", "wrong_shape", "empty_content"),
            *("wrong_kind", *_BAD_SVG),
        }
    )
    FAULTS: ClassVar[Mapping[str, Callable[[], Fault]]] = {
        **wire_faults(_said),
        **{name: _named(error) for name, error in _ERRORS.items()},
    }

    def __init__(self, state: Path | None = None, seed: int = 0) -> None:
        self.key = KEY
        self.kind = "svg"
        self.html = '<div style="width:100%;height:100%;background:#b08d57"></div>'
        self._counted = 0
        super().__init__(state, seed)

    def is_paid(self, asked: Asked) -> bool:
        return (asked.method, asked.path) == ("POST", "/v1/messages")

    def paid_calls(self) -> int:
        """How many calls have come, well or ill."""
        with self._lock:
            return sum(self.is_paid(asked) for asked in self.asked)

    def bodies(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asked.json() for asked in self.asked if self.is_paid(asked)]

    def error(self, error: Error) -> Reply:
        return _said(error)

    def reply_to(self, asked: Asked) -> Reply:
        try:
            # The SDK names the key as a bearer's; older ones have a header of its own.
            given = asked.headers.get("x-api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
            if given != self.key:
                raise _Wrong(Error(401, "", "invalid x-api-key", "authentication_error"))
            if "anthropic-version" not in asked.headers:
                raise _Wrong(Error(400, "", "anthropic-version: header is required"))
            if not self.is_paid(asked):
                raise _Wrong(Error(404, "", "Not Found", "not_found_error"))
            return self._message(asked.json())
        except _Wrong as wrong:
            return _said(wrong.error)

    def _message(self, body: dict[str, Any]) -> Reply:
        _check(body)
        schema = (body.get("output_config") or {}).get("format", {}).get("schema") or {}
        kinds = schema.get("properties", {}).get("kind", {}).get("enum") or []
        if not kinds or schema.get("additionalProperties") is not False:
            raise _Wrong(Error(400, "", "output_config.format.schema: additionalProperties must be false"))
        prompt, references = _read(body)
        twist = self._twist() or ("refusal" if any(word in prompt.lower() for word in BANNED) else "")
        text, reason = self._text(body, kinds, twist)
        taken_in = -(-len((prompt + json.dumps(schema) + str(body.get("system", ""))).encode()) // 4) + 300
        taken_in += sum(min(4784, width * height // 750) for width, height in references)
        out = min(body["max_tokens"], max(1, -(-len(text) // 3)))
        if reason == "max_tokens":
            out = body["max_tokens"]
        price = [Decimal(one) for one in PRICES[body["model"]]]
        self._charge(Line("message", body["model"], "", str(taken_in * price[0] + out * price[1])))
        self._counted += 1
        answer = {
            "id": f"msg_{self._counted:06d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": reason,
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": "bio", "explanation": "It was about pathogens."}
            if reason == "refusal"
            else None,
            "usage": {"input_tokens": taken_in, "output_tokens": out},
        }
        return Reply(200, answer, {"request-id": f"req_{self._counted:06d}"})

    def _text(self, body: dict[str, Any], kinds: list[str], twist: str) -> tuple[str, str]:
        """What is written, and why it ended."""
        kind = self.kind if self.kind in kinds else kinds[0]
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        markup = self.html if kind == "html" else _BAD_SVG.get(twist) or _svg(digest)
        design = {"kind": kind, "markup": markup, "alt": "A monogram in an arch", "title": "Arch"}
        if twist == "wrong_kind":
            design["kind"] = "html"
        whole = json.dumps(design)
        by_twist: dict[str, tuple[str, str]] = {
            "refusal": ("", "refusal"),
            "max_tokens": (whole[: len(whole) // 2], "max_tokens"),
            "pause_turn": (whole[:20], "pause_turn"),
            "context_exceeded": (whole[:20], "model_context_window_exceeded"),
            "not_json": ("Here is your design:\n" + whole, "end_turn"),
            "wrong_shape": (json.dumps({"kind": kind, "markup": markup}), "end_turn"),
            "empty_content": ("", "end_turn"),
        }
        return by_twist.get(twist, (whole, "end_turn"))


def _svg(digest: bytes) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120"><rect width="120" height="120" '
        f'fill="#{digest[:3].hex()}"/><path d="M20 110 V60 A40 40 0 0 1 100 60 V110 Z" fill="#{digest[3:6].hex()}"/>'
        '<text x="60" y="80" text-anchor="middle" font-size="30" fill="#f7f3ea">ME</text></svg>'
    )


@cache
def _contract() -> tuple[TypeAdapter[Any], frozenset[str]]:
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.output_config_param import OutputConfigParam

    held: Any = MessageCreateParamsNonStreaming
    # Messages are read by hand: their type holds open files and endless unions.
    return TypeAdapter(OutputConfigParam), frozenset(held.__required_keys__ | held.__optional_keys__)


def _check(body: dict[str, Any]) -> None:
    adapter, known = _contract()
    if unknown := sorted(set(body) - known):
        raise _Wrong(Error(400, "", f"{unknown[0]}: Extra inputs are not permitted"))
    if missing := sorted({"model", "max_tokens", "messages"} - set(body)):
        raise _Wrong(Error(400, "", f"{missing[0]}: Field required"))
    if body["model"] not in PRICES:
        raise _Wrong(Error(404, "", f"model: {body['model']}", "not_found_error"))
    if not isinstance(body["max_tokens"], int) or not 1 <= body["max_tokens"] <= 64_000:
        raise _Wrong(Error(400, "", "max_tokens: Input should be 1 to 64000"))
    config = body.get("output_config") or {}
    if unknown := sorted(set(config) - {"effort", "format"}):
        raise _Wrong(Error(400, "", f"output_config.{unknown[0]}: Extra inputs are not permitted"))
    try:
        adapter.validate_python(config)
    except ValidationError as error:
        first = error.errors()[0]
        raise _Wrong(Error(400, "", f"output_config.{first['loc']}: {first['msg']}")) from error


def _read(body: dict[str, Any]) -> tuple[str, list[tuple[int, int]]]:
    """The words, and the sizes of pictures."""
    texts, sizes = [], []
    for message in body["messages"]:
        content = message["content"]
        blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            if block["type"] == "text":
                texts.append(block["text"])
            elif block["type"] == "image":
                sizes.append(_size_of(block["source"]))
            else:
                raise _Wrong(Error(400, "", f"messages: {block['type']} is not expected here"))
    if not "".join(texts).strip():
        raise _Wrong(Error(400, "", "messages: text content blocks must be non-empty"))
    return "".join(texts), sizes


def _size_of(source: dict[str, Any]) -> tuple[int, int]:
    try:
        opened = Image.open(io.BytesIO(base64.b64decode(source["data"], validate=True)))
    except (binascii.Error, UnidentifiedImageError) as error:
        raise _Wrong(Error(400, "", "messages: Could not process image")) from error
    if Image.MIME.get(opened.format or "") != source.get("media_type") or source.get("type") != "base64":
        raise _Wrong(Error(400, "", "messages: the image's media type is not the one that was given"))
    return opened.size
