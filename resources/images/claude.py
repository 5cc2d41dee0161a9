"""Mock-ups, marks and patterns that Claude writes as markup, drawn here.

Belongs here: one call of the Messages API, with an answer of a given shape. Does not belong here: cleaning and drawing markup,
which is given as `rasterise`, and what an SDK's error means (`sdk_errors`).

What a model writes is untrusted: it is drawn, and what cannot be drawn safely was paid for and is Poisoned.
"""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources.images.costs import Tokens, token_cost
from resources.images.grid import FORMATS, NoPicture, open_picture
from resources.images.openai_images import CONNECT_SECONDS, why_unavailable
from resources.images.protocol import (
    Blocked,
    Cancelled,
    Generated,
    Image,
    ImageRequest,
    Poisoned,
    Quality,
    Refused,
    SwitchedOff,
)
from resources.images.registry import Model, PerToken
from resources.images.sdk_errors import translated

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.types import ImageBlockParam, Message, TextBlockParam

Kind = Literal["svg", "html"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
Rasterise = Callable[[str, str, tuple[int, int]], bytes]
"""From "svg" or "html", markup, and width and height in pixels to a PNG of that size. Raises where it cannot be drawn safely.

One that has an attribute `kinds` says by it which kinds it draws; else it is SVG alone.
"""

_EFFORTS: Mapping[Quality, Effort] = {"low": "low", "medium": "medium", "high": "high", "ultra": "xhigh"}
_MOST_MARKUP = 512 * 1024
_OVERHEAD = 2000
"""Input tokens that the vendor adds: for the shape of the answer, and around each message."""
_RULES = """\
You are a designer of a luxury fashion house. You answer with one finished design as markup, {kinds}.

The canvas is {width} by {height} pixels. {svg}{html}
Use no script, no event handler, no link, no entity and no comment, and no picture, font, style sheet or address from elsewhere.
Keep to the palette, the dos and the don'ts that the request names; use no other brand's name or mark.
Set text only where the request asks for it, in the words that it gives.
`alt` says for those who cannot see it what the design shows; `title` names it in a few words.
"""
_SVG = 'As SVG: one <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">, of shapes, gradients and text. '
_HTML = "As HTML: one fragment with inline styles alone, laid out for exactly that canvas. "


class _Options(BaseModel):
    """The registry's `options` of this adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    headroom: float = Field(2.0, ge=1, le=4, description="How many times its usual tokens an answer may have")
    reference_tokens: int = Field(5000, ge=0, description="The most input tokens that one reference takes")
    efforts: dict[Quality, Effort] = Field(default_factory=dict)


class _Design(BaseModel):
    """What is answered, as the schema that is sent says."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    markup: str = Field(min_length=1)
    alt: str
    title: str


class ClaudeArtifacts:
    """An ImageProvider. May be shared by threads."""

    def __init__(
        self,
        model: Model,
        url: str | None,
        key: str | None,
        rasterise: Rasterise,
        timeout_seconds: float = 180,
        kinds: Sequence[Kind] | None = None,
    ) -> None:
        self._model, self._url, self._key = model, (url or model.url or "").strip(), key
        self._rasterise, self._timeout = rasterise, timeout_seconds
        self._kinds: tuple[Kind, ...] = tuple(kinds or getattr(rasterise, "kinds", ("svg",)))

    def unavailable(self) -> str | None:
        """Why it cannot be asked: switched off, no key or no address. Asks nobody."""
        return why_unavailable(self._model, self._url, self._key)

    def estimate(self, request: ImageRequest) -> int:
        """The most that the call may cost, in millionths of a US dollar: a token a byte, and an answer as long as allowed."""
        if not isinstance(self._model.price, PerToken):
            return 0
        system, schema = self._system(request), json.dumps(self._schema(request))
        said = len((system + schema + _wish(request)).encode()) + _OVERHEAD
        used = Tokens(
            text_in=said + self._options.reference_tokens * len(request.references), text_out=self._most_tokens(request)
        )
        return token_cost(self._model.price, used)

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        """Ask once. `key` is not sent: this API knows none. Raises the protocol's errors."""
        if why := self.unavailable():
            raise SwitchedOff(why, "unavailable")
        self._refuse(request)
        content = self._content(request)
        if is_cancelled():
            raise Cancelled(f"{self._model.id}: not wanted any more; nothing was sent", "cancelled")
        answer = self._answer(request, content)
        cost = self._cost(answer)
        design = self._design(answer, cost)
        image = self._image(request, design, cost)
        usage = answer.usage.to_dict()
        return Generated((image,), answer.model, cost, usage, getattr(answer, "_request_id", None) or answer.id)

    def close(self) -> None:
        """Let go of the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    def _answer(self, request: ImageRequest, content: "list[TextBlockParam | ImageBlockParam]") -> "Message":
        from anthropic import AnthropicError

        effort = self._options.efforts.get(request.quality, _EFFORTS[request.quality])
        try:
            return self._client.messages.create(
                model=self._model.model or self._model.id,
                max_tokens=self._most_tokens(request),
                system=self._system(request),
                messages=[{"role": "user", "content": content}],
                output_config={"effort": effort, "format": {"type": "json_schema", "schema": self._schema(request)}},
            )
        except (AnthropicError, ValueError) as error:
            raise translated(error, self._model.id, self.estimate(request)) from error

    def _design(self, answer: "Message", cost: int) -> _Design:
        """Raises Blocked where the model refused, and Poisoned where its answer is no whole design."""
        name, reason = self._model.id, answer.stop_reason
        if reason == "refusal":
            details = answer.stop_details
            category = details.category if details and details.category else None
            told = details.explanation if details and details.explanation else "no reason was given"
            raise Blocked(f"{name} refused: {told}", "refusal", "output", (category,) if category else (), cost)
        if reason != "end_turn":
            raise Poisoned(f"{name}: its answer is not whole, as it stopped for {reason}", reason or "no_reason", cost)
        text = "".join(block.text for block in answer.content if block.type == "text")
        try:
            design = _Design.model_validate_json(text)
        except ValidationError as error:
            why = error.errors()[0]
            where = ".".join(map(str, why["loc"])) or "the answer"
            raise Poisoned(f"{name}: {where}: {why['msg']}", "unusable_answer", cost) from error
        if design.kind not in self._kinds:
            raise Poisoned(f"{name}: it wrote {design.kind}, which cannot be drawn here", "wrong_kind", cost)
        if len(design.markup.encode()) > _MOST_MARKUP:
            raise Poisoned(f"{name}: its markup is longer than {_MOST_MARKUP:,} bytes", "too_long", cost)
        return design

    def _image(self, request: ImageRequest, design: _Design, cost: int) -> Image:
        size = (request.width, request.height)
        try:
            drawn = self._rasterise(design.kind, design.markup, size)
        except Exception as error:
            # The rasteriser belongs to a floor above; whatever it raises, the call is paid and has brought nothing.
            self._unusable(f"its markup cannot be drawn: {error}", "unsafe_markup", cost, error)
        try:
            picture, kind = open_picture(drawn)
        except NoPicture as error:
            self._unusable(f"what was drawn {error}", "unusable_image", cost, error)
        if picture.size != size:
            got = f"{picture.width}x{picture.height}, not {size[0]}x{size[1]}"
            self._unusable(f"what was drawn has {got}", "wrong_size", cost)
        details = {"kind": design.kind, "alt": design.alt, "title": design.title}
        if request.format == "svg":
            return Image(design.markup.encode(), "image/svg+xml", *size, markup=design.markup, details=details)
        if request.format == "webp" and kind != "WEBP":
            out = io.BytesIO()
            picture.save(out, "WEBP", quality=92, method=4)
            drawn, kind = out.getvalue(), "WEBP"
        return Image(drawn, FORMATS[kind], *size, markup=design.markup, details=details)

    def _unusable(self, what: str, code: str, cost: int, cause: Exception | None = None) -> NoReturn:
        raise Poisoned(f"{self._model.id}: {what}"[:600], code, cost) from cause

    def _cost(self, answer: "Message") -> int:
        """Reading from or writing to the vendor's cache is never asked for; what is told of it counts as read."""
        if not isinstance(self._model.price, PerToken):
            return 0
        usage = answer.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        return token_cost(self._model.price, Tokens(text_in=usage.input_tokens + cached, text_out=usage.output_tokens))

    def _refuse(self, request: ImageRequest) -> None:
        model, sizes = self._model, self._model.sizes
        if not request.prompt.strip():
            raise Refused(f"{model.id}: there is no prompt; write what is to be seen", "prompt")
        if len(request.prompt) > model.most_prompt:
            raise Refused(f"{model.id}: the prompt is longer than {model.most_prompt:,} characters", "prompt")
        if request.count != 1:
            raise Refused(f"{model.id} makes one design a call, not {request.count}", "count")
        if request.format not in model.formats:
            raise Refused(f"{model.id} does not write {request.format}", "format")
        if len(request.references) > model.most_references:
            raise Refused(
                f"{model.id} takes {model.most_references} references, not {len(request.references)}", "references"
            )
        short, long = sorted((request.width, request.height))
        if short < sizes.smallest or long > sizes.longest:
            raise Refused(f"{model.id} makes sides of {sizes.smallest} to {sizes.longest} pixels", "size")

    def _content(self, request: ImageRequest) -> "list[TextBlockParam | ImageBlockParam]":
        blocks: list[TextBlockParam | ImageBlockParam] = []
        for place, content in enumerate(request.references):
            try:
                _, kind = open_picture(content)
            except NoPicture as error:
                raise Refused(f"{self._model.id}: reference {place + 1} {error}", "references") from error
            data = base64.b64encode(content).decode()
            media: Any = FORMATS[kind]
            blocks.append({"type": "image", "source": {"type": "base64", "media_type": media, "data": data}})
        return [*blocks, {"type": "text", "text": _wish(request)}]

    def _system(self, request: ImageRequest) -> str:
        size = {"width": request.width, "height": request.height}
        kinds = self._asked_kinds(request)
        html = _HTML if "html" in kinds else ""
        return _RULES.format(kinds=" or ".join(kinds).upper(), svg=_SVG.format(**size), html=html, **size)

    def _schema(self, request: ImageRequest) -> dict[str, object]:
        text = {"type": "string"}
        return {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": list(self._asked_kinds(request))},
                "markup": text,
                "alt": text,
                "title": text,
            },
            "required": ["kind", "markup", "alt", "title"],
            "additionalProperties": False,
        }

    def _asked_kinds(self, request: ImageRequest) -> tuple[Kind, ...]:
        """HTML only for mock-ups that may stay pixels."""
        return self._kinds if request.format != "svg" and request.content_type == "design_mockup" else ("svg",)

    def _most_tokens(self, request: ImageRequest) -> int:
        """What may be answered is what was reserved for it."""
        price = self._model.price
        usual = price.tokens[request.quality] if isinstance(price, PerToken) else 4000
        return int(usual * self._options.headroom)

    @cached_property
    def _options(self) -> _Options:
        try:
            return _Options.model_validate(self._model.options)
        except ValidationError as error:
            where = "; ".join(f"options.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise SwitchedOff(f"{self._model.id}: {where}. Correct image_models.yaml", "options") from error

    @cached_property
    def _client(self) -> "Anthropic":
        import anthropic
        import httpx2

        timeout = httpx2.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout))
        transport = anthropic.DefaultHttpxClient(
            timeout=timeout, limits=httpx2.Limits(max_keepalive_connections=0), follow_redirects=False
        )
        return anthropic.Anthropic(
            api_key=self._key or "none",
            base_url=self._url,
            timeout=timeout,
            max_retries=0,
            http_client=transport,
            _strict_response_validation=True,
        )


def _wish(request: ImageRequest) -> str:
    avoid = f"\n\nNot wanted: {request.negative}" if request.negative else ""
    ground = "\n\nThe ground stays transparent." if request.transparent else ""
    return f"{request.prompt}{avoid}{ground}"
