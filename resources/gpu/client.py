"""Asking one GPU server for pictures, from any thread of a process that has neither a GPU nor torch.

Belongs here: the request and the answer as dataclasses, what can go wrong as exceptions, and one retry when the server dies.
Does not belong here: choosing among several servers (`fleet`), and what the server does (`server`).

A request travels under an idempotency key and with a seed that was drawn here, so sending it again is safe: the server that
still knows it hands out the same picture, and one that was started anew paints the same picture.
"""

import base64
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import httpx2 as httpx

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""A server says something every second; one that is silent for so long is taken for dead."""
RESTART_SECONDS = 90.0
POLL_SECONDS = 0.2
SEEDS = 2**32

OutputFormat = Literal["png", "webp", "jpeg"]
Quality = Literal["auto", "low", "medium", "high"]


@dataclass(frozen=True)
class GenerationRequest:
    """Pictures that are wanted: `count` of them, `width` × `height` pixels each.

    Image i is painted from seed + i; without a seed one is drawn. None leaves a value to the server: `steps` then follow from
    `quality`. With an `image` (PNG, WebP or JPEG) that image is changed: with `strength` 0 not at all, with 1 wholly, and with
    a `mask` only where that is transparent.
    """

    prompt: str
    negative_prompt: str = ""
    count: int = 1
    width: int = 1024
    height: int = 1024
    quality: Quality = "auto"
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    lora: str | None = None
    lora_scale: float | None = None
    image: bytes | None = None
    mask: bytes | None = None
    strength: float | None = None
    output_format: OutputFormat = "png"
    model: str | None = None


@dataclass(frozen=True)
class GeneratedImage:
    """One picture: its file's bytes, and the seed that paints it again."""

    content: bytes
    media_type: str
    seed: int


@dataclass(frozen=True)
class Timing:
    """Where the seconds went: waiting for a batch, painting, and decoding and encoding; of the slowest image."""

    queued: float
    painting: float
    finishing: float
    total: float


@dataclass(frozen=True)
class Generated:
    """What came back. `attempts` is 2 where the server died in between; `server` is the address that answered."""

    images: tuple[GeneratedImage, ...]
    model: str
    timing: Timing
    usage: Mapping[str, Any]
    job_id: str
    server: str
    attempts: int = 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each image, in order."""
        return tuple(image.seed for image in self.images)


@dataclass(frozen=True)
class Progress:
    """How far an image is: `step` of `of`, 0 while it waits."""

    job_id: str
    image: int
    step: int
    of: int


@dataclass(frozen=True)
class ServedModel:
    """A model that the server has loaded."""

    id: str
    samplers: tuple[str, ...] = ()
    max_batch: int = 1
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Health:
    """`live`: the process answers. `ready`: it takes requests. `state`: loading, ready, draining, failed or unreachable."""

    live: bool
    ready: bool
    state: str


@dataclass(frozen=True)
class Queue:
    """Images that wait, are being painted, and may wait at most; seconds that one image took lately, 0 where none was."""

    waiting: int
    running: int
    capacity: int
    seconds_per_image: float

    @property
    def depth(self) -> int:
        """All that is ahead of a new request."""
        return self.waiting + self.running


class GpuError(Exception):
    """The GPU server did not bring pictures. `code` is the server's word for why, or ours."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Busy(GpuError):
    """The queue is full, and nothing was taken. It is worth asking again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, "queue_full")
        self.retry_after = retry_after


class Unreachable(GpuError):
    """Nothing answers there, it is not ready, or it died. `sent`: the request had reached it, so it may have been worked on."""

    def __init__(self, message: str, code: str = "unreachable", sent: bool = False) -> None:
        super().__init__(message, code)
        self.sent = sent


class Refused(GpuError):
    """The server does not take this request; `param` is the field that is wrong, where it is one."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_value") -> None:
        super().__init__(message, code)
        self.param = param


class ServerError(GpuError):
    """The server took the request and failed at it, or answered what cannot be understood."""


class Cancelled(GpuError):
    """The job was cancelled, by `is_cancelled`, by `cancel` or by whoever runs the server."""


class Client:
    """One server at `url`. May be shared by threads; each call of `generate` holds one connection.

    `restart_seconds` is how long a server that died is waited for before the one retry; 0 does not wait for it.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        restart_seconds: float = RESTART_SECONDS,
    ) -> None:
        self.url = url.rstrip("/")
        self.restart_seconds = restart_seconds
        timeout = httpx.Timeout(silence_seconds, connect=connect_seconds, pool=None)
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def generate(
        self,
        request: GenerationRequest,
        *,
        idempotency_key: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Generated:
        """Ask, wait, and return the pictures. `is_cancelled` is looked at about once a second and after every step.

        A server that dies in the middle is waited for and asked once more. Raises Busy, Refused, Cancelled, ServerError, and
        Unreachable where it could not be reached, is not ready, or died again.
        """
        key = idempotency_key or uuid.uuid4().hex
        if request.seed is None:
            request = replace(request, seed=random.SystemRandom().randrange(SEEDS))
        try:
            return self._ask(request, key, on_progress, is_cancelled)
        except Unreachable as error:
            if not error.sent or not self._wait_until_ready(is_cancelled):
                raise
        return replace(self._ask(request, key, on_progress, is_cancelled), attempts=2)

    def models(self) -> list[ServedModel]:
        """The models that it serves. Raises Unreachable, Refused (a wrong key) and ServerError."""
        return [
            ServedModel(one["id"], tuple(one.get("samplers", ())), one.get("max_batch", 1), one)
            for one in self._read("GET", "/v1/models")["data"]
        ]

    def health(self) -> Health:
        """Whether it lives and takes requests; never raises for a server that does not answer."""
        try:
            answer = self._http.get("/readyz")
            state = str(answer.json().get("state", "unknown"))
        except (httpx.HTTPError, ValueError, AttributeError):
            return Health(live=False, ready=False, state="unreachable")
        return Health(live=True, ready=answer.status_code == httpx.codes.OK, state=state)

    def queue(self) -> Queue:
        """What it has to do. Raises Unreachable, Refused (a wrong key) and ServerError."""
        told = self._read("GET", "/v1/queue")
        return Queue(told["waiting"], told["running"], told["capacity"], told["seconds_per_image"])

    def queue_depth(self) -> int:
        """Images that wait or are being painted. Raises as `queue` does."""
        return self.queue().depth

    def cancel(self, job_id: str) -> bool:
        """Stop a job. False where the server does not know it or it had ended. Raises Unreachable and ServerError."""
        try:
            return self._read("DELETE", f"/v1/jobs/{job_id}")["status"] == "cancelled"
        except Refused as error:
            if error.code == "job_not_found":
                return False
            raise

    def _ask(
        self,
        request: GenerationRequest,
        key: str,
        on_progress: Callable[[Progress], None] | None,
        is_cancelled: Callable[[], bool],
    ) -> Generated:
        path, content = _encoded(request)
        headers = {"Idempotency-Key": key, "Accept": "text/event-stream"}
        with self._errors(sent=True), self._http.stream("POST", path, headers=headers, **content) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                _raise_for(answer, self.url)
            for name, data in _events(answer.iter_lines(), self.url):
                if is_cancelled():
                    # Hanging up would do; saying so spares the server its grace for retries.
                    with suppress(GpuError):
                        self.cancel(answer.headers.get("X-Job-Id", ""))
                    raise Cancelled("the job was cancelled by whoever asked for it", "cancelled")
                told = _understand(name, data, request, self.url)
                if isinstance(told, Generated):
                    return told
                if told is not None and on_progress is not None:
                    on_progress(told)
        raise Unreachable(f"the server at {self.url} stopped in the middle of the job", "died", sent=True)

    def _wait_until_ready(self, is_cancelled: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + self.restart_seconds
        while time.monotonic() < deadline and not is_cancelled():
            if self.health().ready:
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _read(self, method: str, path: str) -> Any:
        with self._errors(sent=False):
            answer = self._http.request(method, path)
            if not answer.is_success:
                _raise_for(answer, self.url)
            with _understood(self.url):
                return answer.json()

    @contextmanager
    def _errors(self, sent: bool) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(f"nothing answers at {self.url}: {error}. Is the GPU server started?") from error
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise Refused(f"{self.url} cannot be asked: {error}", "url") from error
        except httpx.TransportError as error:
            told = str(error) or type(error).__name__
            raise Unreachable(f"the server at {self.url} broke off: {told}", "died", sent) from error


@contextmanager
def _understood(url: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServerError(
            f"the server at {url} answered what cannot be understood ({error!r})", "unusable_answer"
        ) from error


def _encoded(request: GenerationRequest) -> tuple[str, dict[str, Any]]:
    """Path and body of a request: JSON, or multipart where an image goes with it."""
    fields: dict[str, Any] = {
        "prompt": request.prompt,
        "n": request.count,
        "size": f"{request.width}x{request.height}",
        "output_format": request.output_format,
        "seed": request.seed,
    }
    if request.negative_prompt:
        fields["negative_prompt"] = request.negative_prompt
    if request.quality != "auto":
        fields["quality"] = request.quality
    for name in ("model", "steps", "guidance", "sampler", "lora", "lora_scale", "strength"):
        if getattr(request, name) is not None:
            fields[name] = getattr(request, name)
    if request.image is None:
        if request.mask is not None:
            raise Refused("a mask says where an image is changed, and there is no image", "mask")
        return "/v1/images/generations", {"json": fields}
    files = {"image": ("image", request.image, "application/octet-stream")}
    if request.mask is not None:
        files["mask"] = ("mask", request.mask, "application/octet-stream")
    return "/v1/images/edits", {"data": {name: str(value) for name, value in fields.items()}, "files": files}


def _events(lines: Iterator[str], url: str) -> Iterator[tuple[str, Any]]:
    """Server-sent events as (name, data); a comment, which only says that the server lives, is ('', None)."""
    name, data = "", []
    for line in lines:
        if line.startswith(":"):
            yield "", None
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].lstrip(" "))
        elif not line and data:
            with _understood(url):
                told = json.loads("\n".join(data))
            yield name, told
            name, data = "", []


def _understand(name: str, data: Any, request: GenerationRequest, url: str) -> Generated | Progress | None:
    """What an event says; None for those that say nothing to a client. Raises what became of a job that was not finished."""
    with _understood(url):
        if name == "step":
            return Progress(data["job"], data["image"], data["step"], data["of"])
        if name == "done":
            return _generated(data["result"], request, url)
        if name == "failed":
            raise _failure(data["error"])
    if name == "cancelled":
        raise Cancelled(f"the server at {url} cancelled the job", "cancelled")
    return None


def _generated(result: Mapping[str, Any], request: GenerationRequest, url: str) -> Generated:
    media_type = f"image/{result['output_format']}"
    images = tuple(
        GeneratedImage(base64.b64decode(one["b64_json"], validate=True), media_type, one["seed"])
        for one in result["data"]
    )
    if len(images) != request.count or not all(image.content for image in images):
        raise ValueError(f"{len(images)} images of {request.count}")
    return Generated(images, result["model"], Timing(**result["timing"]), result["usage"], result["job_id"], url)


def _failure(error: Mapping[str, Any]) -> GpuError:
    """What became of a job that was taken."""
    message, code = str(error["message"]), str(error["code"] or "")
    if code == "stopped":
        return Unreachable(message, code, sent=True)
    if error.get("param"):
        return Refused(message, error["param"], code)
    return ServerError(message, code)


def _raise_for(answer: httpx.Response, url: str) -> None:
    try:
        error = answer.json()["error"]
        message, code, param = str(error["message"]), str(error.get("code") or ""), error.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code, param = f"the server at {url} answered {answer.status_code}", "", None
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Busy(message, _seconds(answer.headers.get("Retry-After")))
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise Unreachable(message, code or "not_ready")
    if answer.is_client_error:
        raise Refused(message, param, code or "invalid_value")
    raise ServerError(message, code)


def _seconds(told: str | None) -> float:
    try:
        return max(0.0, float(told or 1))
    except ValueError:
        return 1.0
