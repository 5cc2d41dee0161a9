"""OpenAI's Images, Files, Batches, Models and Moderations on loopback, and Recraft's images in the same shape.

Requests are held against the installed SDK's own types, so that the contract moves with the pin. What those leave open (ranges,
lengths, sizes, which model takes what) is checked by hand, and an unknown field is refused. Pictures are real files, and the
same for the same request. All that is made is billed, whether its answer arrives or not.
"""

import base64
import colorsys
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Required

from PIL import Image, ImageDraw, UnidentifiedImageError
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict, get_type_hints

from tests.peers.sdk_peer import Error, Line, SdkPeer, multipart, wire_faults
from tests.peers.vendor import Asked, Fault, Reply

KEY = "sk-test-4f1c"
RETIRED = frozenset({"dall-e-2", "dall-e-3", "gpt-image-1"})
BANNED = ("gore", "nude")
BANNED_RESULT = "scarface"
"""In a prompt: the picture that came of it is held back."""
PRICES: Mapping[str, tuple[str, str, str]] = {
    "gpt-image-2.5-flare": ("5", "8", "30"),
    "gpt-image-2.5-flare-2026-09-08": ("5", "8", "30"),
    "gpt-image-2.5-sunburst": ("5", "8", "30"),
    "gpt-image-2.6-sunburst": ("5", "8", "30"),
    "gpt-image-2.6-flare": ("5", "8", "30"),
    "gpt-image-1-mini": ("2", "2.5", "8"),
}
"""Dollars a million tokens: text in, image in, image out."""
_NEW = {"low": 196, "medium": 439, "high": 1756, "xhigh": 3122, "max": 7024}
_NEWEST = {"low": 784, "medium": 1756, "high": 1756, "xhigh": 3122, "max": 7024}
_MINI = {"low": 272, "medium": 1056, "high": 4160}
RECRAFT = {"recraftv4": "0.04", "recraftv4_pro": "0.25", "recraftv4_vector": "0.08", "recraftv4_pro_vector": "0.30"}
LOCAL = "qwen-image"
"""A model behind vLLM-Omni or its like: OpenAI's shape, and a seed and what is not wanted besides. It bills nothing."""
_LOCAL_FIELDS = {"model", "prompt", "n", "size", "response_format", "seed", "negative_prompt"}
_RECRAFT_FIELDS = {
    "model",
    "prompt",
    "n",
    "size",
    "response_format",
    "controls",
    "negative_prompt",
    "text_layout",
    "style_id",
}
_RECRAFT_SIZES = {
    "1:1": (1024, 1024),
    "2:1": (1536, 768),
    "1:2": (768, 1536),
    "3:2": (1280, 832),
    "2:3": (832, 1280),
    "4:3": (1216, 896),
    "3:4": (896, 1216),
    "5:4": (1152, 896),
    "4:5": (896, 1152),
    "16:9": (1344, 768),
    "9:16": (768, 1344),
}
_BATCH_STEPS = ("validating", "in_progress", "finalizing", "completed")
_CREATED = 1_795_000_000


class _Wrong(Exception):
    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass
class StoredFile:
    id: str
    content: bytes
    purpose: str
    name: str


@dataclass
class StoredBatch:
    """A batch: it moves a step each time it is asked about, unless `OpenAIPeer.batch_steps` is None."""

    id: str
    input_file: str
    metadata: dict[str, str]
    status: str = "validating"
    done: int = 0
    failed: int = 0
    total: int = 0
    output: str | None = None
    errors: str | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)


def _said(error: Error) -> Reply:
    body: dict[str, Any] = {"message": error.message, "type": error.kind, "param": None, "code": error.code}
    if error.details is not None:
        body["moderation_details"] = error.details
    return Reply(error.status, {"error": body}, dict(error.headers))


def _errors() -> dict[str, Error]:
    blocked = "Your request was rejected by the safety system"
    return {
        "credit_exhausted": Error(
            429, "credit_balance_exhausted", "You exceeded your current quota", "insufficient_quota"
        ),
        "model_not_found": Error(404, "model_not_found", "The model does not exist or you have no access to it"),
        "moderation_input": Error(
            400,
            "moderation_blocked",
            blocked,
            "image_generation_user_error",
            {"moderation_stage": "input", "categories": ["violence"]},
        ),
        "moderation_output": Error(
            400,
            "moderation_blocked",
            blocked,
            "image_generation_user_error",
            {"moderation_stage": "output", "categories": ["sexual"]},
        ),
        "unknown_parameter": Error(400, "unknown_parameter", "Unknown parameter: 'style'."),
    }


def _named(error: Error) -> Callable[[], Fault]:
    return lambda: Fault("reply", reply=_said(error))


class OpenAIPeer(SdkPeer):
    """`batch_steps`: how often a batch is asked about before it has ended (None: `finish` ends it); `batch_ends` is how.
    `plans` says what becomes of a batch's item, by its custom_id: an error's name, a twist, "expired" or "forgotten"."""

    TWISTS: ClassVar[frozenset[str]] = frozenset(
        {
            "empty_data",
            "null_data",
            "no_bytes",
            "no_base64",
            "no_image",
            "wrong_size",
            "fewer",
            "one_bad",
            "no_usage",
            "unknown_fields",
            "bad_svg",
        }
    )
    FAULTS: ClassVar[Mapping[str, Callable[[], Fault]]] = {
        **wire_faults(_said),
        **{name: _named(error) for name, error in _errors().items()},
    }

    def __init__(self, state: Path | None = None, seed: int = 0) -> None:
        self.key = KEY
        self.files: dict[str, StoredFile] = {}
        self.batches: dict[str, StoredBatch] = {}
        self.batch_steps: int | None = 3
        self.batch_ends = "completed"
        self.plans: dict[str, str] = {}
        self.pictures_made = 0
        self._counted = 0
        super().__init__(state, seed)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def is_paid(self, asked: Asked) -> bool:
        return asked.method == "POST" and asked.path in ("/v1/images/generations", "/v1/images/edits")

    def paid_calls(self) -> int:
        """How many calls for pictures have come, well or ill."""
        with self._lock:
            return sum(self.is_paid(asked) for asked in self.asked)

    def bodies(self) -> list[dict[str, Any]]:
        """What was asked for pictures, as JSON."""
        with self._lock:
            return [asked.json() for asked in self.asked if asked.path == "/v1/images/generations"]

    def finish(self, batch_id: str, status: str | None = None) -> None:
        """A batch ends now."""
        with self._lock:
            self._end(self.batches[batch_id], status or self.batch_ends)

    def error(self, error: Error) -> Reply:
        return _said(error)

    def reply_to(self, asked: Asked) -> Reply:
        try:
            if asked.headers.get("authorization") != f"Bearer {self.key}":
                raise _Wrong(Error(401, "invalid_api_key", "Incorrect API key provided", "authentication_error"))
            return self._route(asked)
        except _Wrong as wrong:
            return _said(wrong.error)

    def _route(self, asked: Asked) -> Reply:
        route, parts = (asked.method, asked.path), asked.path.removeprefix("/v1/").split("/")
        if route == ("POST", "/v1/images/generations"):
            return Reply(200, self._pictures(_json(asked), (), self._twist()), {"x-request-id": self._name("req")})
        if route == ("POST", "/v1/images/edits"):
            body, references = _form(asked)
            return Reply(200, self._pictures(body, references, self._twist()), {"x-request-id": self._name("req")})
        if route == ("POST", "/v1/files"):
            return self._upload(asked)
        if asked.method == "GET" and parts[0] == "files" and parts[2:] == ["content"]:
            return Reply(200, self._file(parts[1]).content, {"content-type": "application/octet-stream"})
        if route == ("POST", "/v1/batches"):
            return Reply(200, self._create_batch(_json(asked)))
        if route == ("GET", "/v1/batches"):
            return Reply(200, self._list_batches(asked.query))
        if parts[0] == "batches" and len(parts) > 1:
            return self._batch(asked.method, parts[1], parts[2:])
        if route == ("POST", "/v1/moderations"):
            return Reply(200, _moderation(_json(asked)))
        if asked.method == "GET" and parts[0] == "models" and len(parts) == 2:
            _living(parts[1])
            return Reply(200, {"id": parts[1], "object": "model", "created": _CREATED, "owned_by": "openai"})
        raise _Wrong(Error(404, "unknown_url", f"Unknown request URL: {asked}"))

    def _pictures(
        self, body: dict[str, Any], references: tuple[bytes, ...], twist: str, batch: bool = False
    ) -> dict[str, Any]:
        model = str(body.get("model"))
        wanted = _local(body) if model == LOCAL else _recraft(body) if model in RECRAFT else _openai(body, references)
        if any(word in wanted.prompt.lower() for word in BANNED):
            raise _Wrong(_errors()["moderation_input"])
        if BANNED_RESULT in wanted.prompt.lower():
            raise _Wrong(_errors()["moderation_output"])
        self.pictures_made += wanted.count
        self._charge(
            Line(
                "batch" if batch else wanted.what,
                wanted.model,
                wanted.quality,
                str(wanted.micros / 2 if batch else wanted.micros),
                batch,
            )
        )
        data = _spoiled([{"b64_json": base64.b64encode(one).decode()} for one in wanted.pictures(twist)], twist)
        answer = {"created": _CREATED, "data": data, **wanted.told}
        if twist == "no_usage":
            answer.pop("usage", None)
        if twist == "unknown_fields":
            answer |= {"cake": 1}
        return answer

    def _upload(self, asked: Asked) -> Reply:
        parts = {name: (file, content) for name, file, _, content in multipart(asked)}
        if set(parts) != {"file", "purpose"} or parts["purpose"][1] != b"batch":
            raise _Wrong(Error(400, "invalid_value", "give a file, and the purpose batch"))
        file = StoredFile(self._name("file"), parts["file"][1], "batch", parts["file"][0] or "file")
        self.files[file.id] = file
        return Reply(200, _file_object(file))

    def _file(self, file_id: str) -> StoredFile:
        if file_id not in self.files:
            raise _Wrong(Error(404, "not_found", f"No such File object: {file_id}"))
        return self.files[file_id]

    def _create_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        _check("batch", body)
        metadata = body.get("metadata") or {}
        if len(metadata) > 16 or any(len(k) > 64 or len(v) > 512 for k, v in metadata.items()):
            raise _Wrong(Error(400, "invalid_value", "metadata is too long"))
        batch = StoredBatch(self._name("batch"), self._file(body["input_file_id"]).id, metadata)
        lines = [json.loads(line) for line in self.files[batch.input_file].content.splitlines()]
        batch.total, names = len(lines), [line.get("custom_id") for line in lines]
        for place, line in enumerate(lines, 1):
            if (
                set(line) != {"custom_id", "method", "url", "body"}
                or line["url"] != body["endpoint"]
                or line["method"] != "POST"
            ):
                batch.faults.append(
                    {"code": "invalid_request", "message": "Not a line of a batch", "line": place, "param": None}
                )
            elif names.count(line["custom_id"]) > 1:
                batch.faults.append(
                    {
                        "code": "duplicate_custom_id",
                        "message": "This custom_id comes twice",
                        "line": place,
                        "param": None,
                    }
                )
        self.batches[batch.id] = batch
        return self._batch_object(batch)

    def _list_batches(self, query: Mapping[str, str]) -> dict[str, Any]:
        newest = list(reversed(self.batches.values()))
        if after := query.get("after"):
            newest = newest[[batch.id for batch in newest].index(after) + 1 :]
        limit = int(query.get("limit", "20"))
        if not 1 <= limit <= 100:
            raise _Wrong(Error(400, "integer_out_of_range", "limit must be 1 to 100"))
        page = [self._batch_object(batch) for batch in newest[:limit]]
        more = len(newest) > limit
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return {"object": "list", "data": page, "has_more": more, **ends}

    def _batch(self, method: str, batch_id: str, rest: list[str]) -> Reply:
        if batch_id not in self.batches:
            raise _Wrong(Error(404, "not_found", f"No batch found with id {batch_id!r}"))
        batch = self.batches[batch_id]
        if method == "POST" and rest == ["cancel"]:
            if batch.status in ("validating", "in_progress", "finalizing"):
                self._end(batch, "cancelled")
            return Reply(200, self._batch_object(batch))
        if method != "GET" or rest:
            raise _Wrong(Error(404, "unknown_url", "Unknown request URL"))
        if batch.status in _BATCH_STEPS[:3] and (batch.faults or self.batch_steps is not None):
            place = _BATCH_STEPS.index(batch.status) + 1
            if batch.faults:
                batch.status = "failed"
            elif place >= (self.batch_steps or 3):
                self._end(batch, self.batch_ends)
            else:
                batch.status = _BATCH_STEPS[place]
        return Reply(200, self._batch_object(batch))

    def _end(self, batch: StoredBatch, status: str) -> None:
        """Work it off. One that expires or is cancelled has done the first half of its items."""
        lines = [json.loads(line) for line in self.files[batch.input_file].content.splitlines()]
        most = len(lines) if status == "completed" else len(lines) // 2
        output: list[Any] = []
        errors: list[Any] = []
        for place, line in enumerate(lines):
            plan = self.plans.get(line["custom_id"], "")
            if plan == "forgotten":
                continue
            if plan == "expired" or place >= most:
                told = {
                    "code": f"batch_{'expired' if status == 'completed' else status}",
                    "message": "This request was not executed.",
                }
                errors.append(self._line(line, None, told))
                continue
            try:
                if plan in _errors():
                    raise _Wrong(_errors()[plan])
                answer = self._pictures(line["body"], (), plan, batch=True)
                output.append(self._line(line, {"status_code": 200, "request_id": self._name("req"), "body": answer}))
            except _Wrong as wrong:
                reply = _said(wrong.error)
                errors.append(
                    self._line(line, {"status_code": reply.status, "request_id": self._name("req"), "body": reply.body})
                )
        batch.status, batch.done, batch.failed = status, len(output), len(errors)
        batch.output, batch.errors = self._store(output), self._store(errors)

    def _line(self, line: dict[str, Any], response: Any, error: Any = None) -> dict[str, Any]:
        return {"id": self._name("batch_req"), "custom_id": line["custom_id"], "response": response, "error": error}

    def _store(self, lines: list[Any]) -> str | None:
        if not lines:
            return None
        file = StoredFile(
            self._name("file"), "".join(json.dumps(line) + "\n" for line in lines).encode(), "batch_output", "out"
        )
        self.files[file.id] = file
        return file.id

    def _batch_object(self, batch: StoredBatch) -> dict[str, Any]:
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/images/generations",
            "completion_window": "24h",
            "created_at": _CREATED,
            "input_file_id": batch.input_file,
            "status": batch.status,
            "metadata": batch.metadata,
            "output_file_id": batch.output,
            "error_file_id": batch.errors,
            "errors": {"object": "list", "data": batch.faults} if batch.status == "failed" else None,
            "request_counts": {"total": batch.total, "completed": batch.done, "failed": batch.failed},
        }

    def _name(self, kind: str) -> str:
        self._counted += 1
        return f"{kind}_{self._counted:06d}"


@dataclass(frozen=True)
class _Wanted:
    what: str
    model: str
    prompt: str
    count: int
    size: tuple[int, int]
    quality: str
    format: str
    transparent: bool
    micros: Decimal
    told: dict[str, Any]
    seed: str

    def pictures(self, twist: str) -> Iterator[bytes]:
        width, height = self.size
        for place in range(self.count):
            digest = hashlib.sha256(f"{self.seed}\0{place}".encode()).digest()
            if self.format == "svg":
                yield _svg(digest, width, height, twist == "bad_svg")
            else:
                size = (width // 2, height) if twist == "wrong_size" else (width, height)
                yield picture(digest, size, self.format, self.transparent)


def picture(digest: bytes, size: tuple[int, int], form: str, transparent: bool = False) -> bytes:
    """A scene of a few shapes, as a file; the same for the same digest."""
    hue = digest[0] / 255
    ground = tuple(round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.9, 0.3))
    scene = Image.new("RGBA", size, (0, 0, 0, 0) if transparent else (*ground, 255))
    draw = ImageDraw.Draw(scene)
    for place in range(6):
        x, y, r = (digest[3 * place + k] / 255 for k in range(1, 4))
        colour = tuple(round(255 * part) for part in colorsys.hls_to_rgb((hue + place / 9) % 1, 0.3 + r / 3, 0.5))
        box = (
            x * size[0] * 0.7,
            y * size[1] * 0.7,
            x * size[0] * 0.7 + size[0] * 0.3,
            y * size[1] * 0.7 + size[1] * 0.3,
        )
        draw.ellipse(box, fill=(*colour, 255)) if place % 2 else draw.rectangle(box, fill=(*colour, 255))
    out = io.BytesIO()
    whole = scene if transparent else scene.convert("RGB")
    whole.save(out, form.upper(), **({"compress_level": 1} if form == "png" else {"quality": 85}))
    return out.getvalue()


def _svg(digest: bytes, width: int, height: int, is_bad: bool) -> bytes:
    bad = "<script>fetch('https://evil.example')</script><image href='https://evil.example/x.png'/>" if is_bad else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{bad}'
        f'<rect width="{width}" height="{height}" fill="#{digest[:3].hex()}"/>'
        f'<circle cx="{width // 2}" cy="{height // 2}" r="{min(width, height) // 3}" fill="#{digest[3:6].hex()}"/></svg>'
    ).encode()


def _openai(body: dict[str, Any], references: tuple[bytes, ...]) -> _Wanted:
    _check("edit" if references else "generate", {**body, "image": list(references)} if references else body)
    model, prompt, count = str(body.get("model")), body["prompt"], int(body.get("n") or 1)
    _living(model)
    if not 1 <= count <= 10:
        raise _Wrong(Error(400, "integer_out_of_range", f"Invalid 'n': {count}; it must be 1 to 10"))
    if not 1 <= len(prompt) <= 32_000:
        raise _Wrong(Error(400, "string_above_max_length", "Invalid 'prompt': it must have 1 to 32000 characters"))
    if body.get("style") or body.get("response_format") or body.get("user"):
        raise _Wrong(Error(400, "unknown_parameter", "Unknown parameter for this model"))
    quality, tokens = body.get("quality") or "auto", _tokens_of(model)
    # Left to the model it is dear.
    if quality != "auto" and quality not in tokens:
        raise _Wrong(Error(400, "invalid_value", f"Invalid 'quality': {quality!r} is none of {', '.join(tokens)}"))
    form, ground = body.get("output_format") or "png", body.get("background") or "auto"
    if form not in ("png", "webp", "jpeg"):
        raise _Wrong(Error(400, "invalid_value", f"{form} needs access that this project lacks"))
    if ground == "transparent" and form == "jpeg":
        raise _Wrong(Error(400, "invalid_value", "Transparent backgrounds need png or webp"))
    size = _openai_size(model, body.get("size") or "1024x1024")
    spent = 5800 if quality == "auto" else _image_tokens(tokens[quality], size, model)
    text, image = -(-len(prompt.encode()) // 4), sum(_reference_tokens(one) for one in references)
    out = spent * count
    price = [Decimal(one) for one in PRICES[model]]
    usage = {
        "input_tokens": text + image,
        "input_tokens_details": {"text_tokens": text, "image_tokens": image},
        "output_tokens": out,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": out},
        "total_tokens": text + image + out,
    }
    told = {
        "usage": usage,
        "size": f"{size[0]}x{size[1]}",
        "output_format": form,
        "background": "transparent" if ground == "transparent" else "opaque",
        "quality": "high" if quality == "auto" else quality,
    }
    seed = json.dumps([body, [hashlib.sha256(one).hexdigest() for one in references]], sort_keys=True, default=str)
    micros = text * price[0] + image * price[1] + out * price[2]
    what = "edit" if references else "generation"
    return _Wanted(what, model, prompt, count, size, quality, form, ground == "transparent", micros, told, seed)


def _recraft(body: dict[str, Any]) -> _Wanted:
    if unknown := set(body) - _RECRAFT_FIELDS:
        raise _Wrong(Error(400, "unknown_parameter", f"unknown fields: {', '.join(sorted(unknown))}"))
    model, prompt, count = body["model"], body.get("prompt") or "", body.get("n", 1)
    if not 1 <= len(prompt) <= 10_000 or not 1 <= count <= 6:
        raise _Wrong(Error(400, "invalid_value", "prompt has 1 to 10000 characters, n is 1 to 6"))
    if body.get("response_format") != "b64_json":
        raise _Wrong(Error(400, "invalid_value", "this peer keeps no files: ask for b64_json"))
    if body.get("size", "1:1") not in _RECRAFT_SIZES:
        raise _Wrong(Error(400, "invalid_value", f"size {body.get('size')!r} is not supported"))
    for colour in (body.get("controls") or {}).get("colors", ()):
        rgb = colour.get("rgb", ())
        if len(rgb) != 3 or not all(isinstance(part, int) and 0 <= part <= 255 for part in rgb):
            raise _Wrong(Error(400, "invalid_value", "controls.colors: rgb has three numbers from 0 to 255"))
    width, height = _RECRAFT_SIZES[body.get("size", "1:1")]
    size = (2 * width, 2 * height) if "_pro" in model else (width, height)
    form = "svg" if model.endswith("_vector") else "png"
    micros = Decimal(RECRAFT[model]) * count * 1_000_000
    seed = json.dumps(body, sort_keys=True)
    return _Wanted(
        "generation", model, prompt, count, size, "", form, False, micros, {"credits": int(micros / 1000)}, seed
    )


def _local(body: dict[str, Any]) -> _Wanted:
    if unknown := set(body) - _LOCAL_FIELDS:
        raise _Wrong(Error(400, "unknown_parameter", f"unknown fields: {', '.join(sorted(unknown))}"))
    across, _, down = body["size"].partition("x")
    size, seed = (int(across), int(down)), json.dumps(body, sort_keys=True)
    return _Wanted("generation", LOCAL, body["prompt"], body["n"], size, "", "png", False, Decimal(0), {}, seed)


def _spoiled(data: list[dict[str, Any]], twist: str) -> Any:
    junk = base64.b64encode(b"this is no picture" * 20).decode()
    spoil: dict[str, Callable[[], Any]] = {
        "empty_data": lambda: [],
        "null_data": lambda: None,
        "no_bytes": lambda: [{"b64_json": None} for _ in data],
        "no_base64": lambda: [{"b64_json": "%%%"} for _ in data],
        "no_image": lambda: [{"b64_json": junk} for _ in data],
        "fewer": lambda: data[:-1],
        "one_bad": lambda: [{"b64_json": junk}, *data[1:]],
    }
    return spoil.get(twist, lambda: data)()


def _tokens_of(model: str) -> Mapping[str, int]:
    if model == "gpt-image-1-mini":
        return _MINI
    return _NEWEST if "2.6" in model else _NEW


def _image_tokens(square: int, size: tuple[int, int], model: str) -> int:
    """Through what is published: 1,756 a square of 1024, 3,333 for 3840x2160, and 1536x1024 below the square."""
    pixels = size[0] * size[1] / 1024**2
    if model == "gpt-image-1-mini":
        return math.ceil(square * pixels)
    shape = 1.0 if size[0] == size[1] else 0.85
    return math.ceil(square * shape * max(pixels, 0.05) ** 0.388)


def _reference_tokens(content: bytes) -> int:
    """65, 129 for each tile of 512 once its short side is 512, and what high fidelity adds."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
    except UnidentifiedImageError as error:
        raise _Wrong(Error(400, "invalid_image_file", "Invalid image file or mode")) from error
    scale = min(1.0, 512 / min(width, height))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return 65 + 129 * min(tiles, 4) + (4160 if width == height else 6240)


def _openai_size(model: str, text: str) -> tuple[int, int]:
    across, _, down = text.partition("x")
    if not (across.isdigit() and down.isdigit()):
        raise _Wrong(Error(400, "invalid_value", f"Invalid size {text!r}"))
    size = int(across), int(down)
    short, long = sorted(size)
    if model == "gpt-image-1-mini":
        is_fine = size in ((1024, 1024), (1536, 1024), (1024, 1536))
    else:
        is_fine = (
            short >= 16
            and not (short % 16 or long % 16)
            and long <= 3 * short
            and long <= 3840
            and short * long <= 3840 * 2160
        )
    if not is_fine:
        raise _Wrong(Error(400, "invalid_value", f"Invalid size {text!r} for this model"))
    return size


def _living(model: str) -> None:
    if model in RETIRED or model not in PRICES:
        raise _Wrong(Error(404, "model_not_found", f"The model {model!r} does not exist or you have no access to it"))


@cache
def _contract(name: str) -> tuple[TypeAdapter[Any], frozenset[str]]:
    from openai.types.batch_create_params import BatchCreateParams
    from openai.types.image_edit_params import ImageEditParamsNonStreaming
    from openai.types.image_generate_params import ImageGenerateParamsNonStreaming
    from openai.types.moderation_create_params import ModerationCreateParams

    held: Any = {
        "generate": ImageGenerateParamsNonStreaming,
        "edit": ImageEditParamsNonStreaming,
        "batch": BatchCreateParams,
        "moderation": ModerationCreateParams,
    }[name]
    known = frozenset(held.__required_keys__ | held.__optional_keys__)
    if name == "edit":
        # Files have been read by then, and open files cannot be held against a type.
        hints = get_type_hints(held, include_extras=True)
        files = {"image": Required[list[bytes]], "mask": bytes, "markup": bytes}
        typed: Any = TypedDict
        held = typed("EditOfBytes", {**hints, **files}, total=False)
    return TypeAdapter(held), known


def _check(name: str, body: dict[str, Any]) -> None:
    adapter, known = _contract(name)
    if unknown := sorted(set(body) - known):
        raise _Wrong(Error(400, "unknown_parameter", f"Unknown parameter: {unknown[0]!r}."))
    try:
        adapter.validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise _Wrong(Error(400, "invalid_value", f"Invalid value: {first['loc']}: {first['msg']}")) from error


def _json(asked: Asked) -> dict[str, Any]:
    try:
        body = asked.json()
    except ValueError as error:
        raise _Wrong(Error(400, "invalid_json", "We could not parse the JSON body of your request")) from error
    if not isinstance(body, dict):
        raise _Wrong(Error(400, "invalid_json", "The body must be an object"))
    return body


def _form(asked: Asked) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    body: dict[str, Any] = {}
    references: list[bytes] = []
    for name, file, media_type, content in multipart(asked):
        if name in ("image", "image[]"):
            if file is None or media_type not in ("image/png", "image/jpeg", "image/webp"):
                raise _Wrong(Error(400, "invalid_image_file", f"{file}: {media_type} is not supported"))
            references.append(content)
        else:
            body[name] = int(content) if name == "n" else content.decode()
    if not 1 <= len(references) <= 16 or any(len(one) >= 50_000_000 for one in references):
        raise _Wrong(Error(400, "invalid_value", "Give 1 to 16 images of less than 50 MB"))
    return body, tuple(references)


def _moderation(body: dict[str, Any]) -> dict[str, Any]:
    _check("moderation", body)
    is_flagged = any(word in json.dumps(body["input"]).lower() for word in BANNED)
    return {
        "id": "modr_1",
        "model": "omni-moderation-latest",
        "results": [
            {
                "flagged": is_flagged,
                "categories": {"violence": is_flagged},
                "category_scores": {"violence": 0.9 if is_flagged else 0.01},
            }
        ],
    }


def _file_object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": _CREATED,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }
