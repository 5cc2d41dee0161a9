"""Midjourney through a gateway that takes a job, is asked about it until it has ended, and gives four pictures as one grid.

Belongs here: one job from its submission to its pictures. Does not belong here: the gateway's names for things (`gateway_map`),
and whether it may be used at all: Midjourney's terms forbid automation, and the registry's `disabled` says so until somebody
decides otherwise.

A job is submitted under a reference made from the effect's key. Before that, and again where the answer to it was lost, the
gateway's jobs are read: one that is there is waited for, never submitted a second time.
"""

import base64
import hashlib
import math
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx2 as httpx
from pydantic import ValidationError

from resources.images.gateway_map import Call, GatewayMap, at, body_of, means, put
from resources.images.grid import FORMATS, NoPicture, open_picture, split_grid
from resources.images.protocol import (
    MICROS,
    Blocked,
    Cancelled,
    Generated,
    Image,
    ImageRequest,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.registry import Model, PerImage

Pause = Callable[[threading.Event, float], object]
"""Waits for so many seconds, or until the event is set."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_LOOKS = 3
"""How often a job is looked for that the gateway does not show, before it counts as lost."""
_LONGEST_PAUSE = 60.0
_MOST_BYTES = 64 * 1024 * 1024
_PARAMETER = re.compile(r"(?:^|\s)(?:--|[–—])\s?[a-z]", re.IGNORECASE)


class MidjourneyGateway:
    """An ImageProvider. Its threads share connections; `close` ends them."""

    def __init__(
        self,
        model: Model,
        url: str | None,
        key: str | None,
        *,
        now: Callable[[], float] = time.monotonic,
        pause: Pause = threading.Event.wait,
    ) -> None:
        self._model = model
        self._url = url
        self._key = key
        self._now = now
        self._pause = pause
        self._map, self._fault = _read_map(model)
        self._wakers: dict[str, threading.Event] = {}
        self._client = httpx.Client(
            headers={"User-Agent": "luxauto"},
            verify=_authorities(self._map.ca_file),
            timeout=self._map.answer_seconds,
            trust_env=False,
            follow_redirects=False,
        )

    def unavailable(self) -> str | None:
        """Why it cannot be asked: switched off in the registry, no address, no key, or a map that cannot be read."""
        model = self._model
        if model.disabled:
            return " ".join(model.disabled.split())
        if not self._url:
            return f"{model.id}: no gateway is known; set {model.url_variable or 'its url in image_models.yaml'}"
        if urlsplit(self._url).scheme not in ("http", "https"):
            return f"{model.id}: {self._url!r} is no address; give one that begins with https://"
        if not self._key and not model.key_optional:
            return f"{model.id}: no key; set {model.key_variable or 'key_variable in image_models.yaml'}"
        return self._fault

    def estimate(self, request: ImageRequest) -> int:
        """What the jobs cost that hold so many pictures, in millionths of a US dollar: a job is paid whole."""
        price = self._model.price
        if not isinstance(price, PerImage):
            raise ValueError(f"{self._model.id}: a gateway's price is per_image; correct image_models.yaml")
        return math.ceil(request.count / price.images_per_job) * round(price.usd[request.quality] * MICROS)

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        """Submit one job, or take up that of an earlier call with this key, and wait until it has ended.

        Raises the protocol's errors. An Uncertain job goes on: asked again with the same key, it is found and not paid twice.
        """
        if why := self.unavailable():
            raise SwitchedOff(why, "unavailable")
        order = self._order(request, key)
        if is_cancelled():
            raise Cancelled(f"{self._model.id}: not wanted any more; nothing was sent", "cancelled")
        with self._waker(order.reference) as waker:
            earlier = self._jobs(order.reference)
            found = _to_take_up(earlier)
            if found is not None:
                job = found.id
            else:
                for before in earlier:
                    self._refuse_what_was_blocked(before)
                job = self._submit(request, order, {before.id for before in earlier})
            ended = self._waited_for(job, order, waker, is_cancelled)
        notes = ("the job of an earlier call with the same key was taken up",) if found is not None else ()
        return self._brought(ended, request, order, notes)

    def notice(self, body: bytes) -> bool:
        """What the gateway sent to the webhook: whoever waits for that job asks at once. Whether anybody does.

        Nothing that it says is believed, so it needs no signature: the job is read from the gateway.
        """
        import json

        try:
            said = json.loads(body)
        except ValueError:
            return False
        reference = at(said, self._map.told.reference)
        waker = self._wakers.get(reference) if isinstance(reference, str) else None
        if waker is not None:
            waker.set()
        return waker is not None

    def close(self) -> None:
        self._client.close()

    # A job's life

    def _order(self, request: ImageRequest, key: str) -> "_Order":
        """Raises Refused for what no job can be."""
        self._refuse_what_it_cannot(request)
        digest = hashlib.sha256(key.encode()).hexdigest()
        # Drawn from the key where none is given, so that a job that is taken up has the same.
        seed = request.seed if request.seed is not None else int(digest[-8:], 16)
        return _Order(reference=f"luxauto-{digest[:32]}", seed=seed)

    def _refuse_what_it_cannot(self, request: ImageRequest) -> None:
        model = self._model
        words = f"{request.prompt}\n{request.negative}"
        faults = {
            "no prompt": not request.prompt.strip(),
            f"a prompt of more than {model.most_prompt} characters": len(request.prompt) > model.most_prompt,
            f"{request.count} pictures; 1 to {model.most_images} are one job": not 1
            <= request.count
            <= model.most_images,
            f"{len(request.references)} references; {model.most_references} are taken": len(request.references)
            > model.most_references,
            f"the format {request.format}": request.format not in model.formats,
            "a transparent ground": request.transparent and "transparent" not in model.supports,
            f"the seed {request.seed}; 0 to 4294967295 are taken": request.seed is not None
            and not 0 <= request.seed < 2**32,
            # Each would make more jobs, or others, than were asked for and reserved.
            "Midjourney's parameters (--) in the prompt; put them into options.suffix of image_models.yaml": bool(
                _PARAMETER.search(words)
            ),
            "braces in the prompt, which make a job of each alternative": bool(re.search(r"[{}]", words)),
        }
        for what, is_so in faults.items():
            if is_so:
                raise Refused(f"{model.id} does not take {what}", "invalid_request")

    def _submit(self, request: ImageRequest, order: "_Order", known: set[str]) -> str:
        """The id of the job that was made of it."""
        body = self._body(request, order)
        call = self._map.submit
        try:
            answer = self._ask(call, order.values(), body)
        except _Lost as lost:
            if not lost.was_sent:
                raise Unavailable(f"{self._model.id} does not answer: {lost}", "no_connection") from lost
            return self._read_back(order, known, f"its answer was lost ({lost})")
        if answer.status >= 500:
            made_nothing = answer.status not in (502, 504)
            return self._read_back(order, known, f"it answered HTTP {answer.status}", made_nothing=made_nothing)
        said, told, words = answer.document, self._map.told, self._map.words
        code, message = at(said, told.code), answer.message
        is_accepted = answer.status < 300 and (told.code is None or code is None or means(code, words.accepted))
        if not is_accepted:
            self._refuse_if_blocked(message, means(code, words.banned), "input")
        if means(code, words.full):
            raise Throttled(f"{self._model.id}: its queue is full: {message}", "queue_full", answer.retry_after)
        self._raise_for_status(answer, "submit")
        if means(code, words.broken):
            raise Unavailable(f"{self._model.id} cannot take jobs: {message}", str(code))
        if not is_accepted:
            raise Refused(f"{self._model.id} refuses the job ({code}): {message}", str(code))
        job = at(said, told.id)
        if isinstance(job, (str, int)) and str(job):
            return str(job)
        return self._read_back(order, known, "its answer names no job")

    def _body(self, request: ImageRequest, order: "_Order") -> dict[str, Any]:
        sent, body = self._map.sent, body_of(self._map.submit, order.values())
        divisor = math.gcd(request.width, request.height)
        ratio = f"{request.width // divisor}:{request.height // divisor}"
        words = [" ".join(request.prompt.split())]
        if request.references:
            pictures = [self._as_sent(reference) for reference in request.references]
            if self._map.references == "upload":
                words[:0] = self._uploaded(pictures, order)
            elif sent.references is None:
                raise Refused(f"{self._model.id}: its map has no field for references", "references")
            else:
                put(body, sent.references, pictures)
        named = (
            (sent.ratio, "--ar", ratio),
            (sent.seed, "--seed", order.seed),
            (sent.negative, "--no", " ".join(request.negative.split())),
        )
        for field, parameter, value in named:
            if field is not None:
                put(body, field, value)
            elif value != "":
                words.append(f"{parameter} {value}")
        put(body, sent.prompt, " ".join([*words, self._map.suffix]).strip())
        put(body, sent.reference, order.reference)
        if self._map.webhook and sent.webhook:
            put(body, sent.webhook, self._map.webhook)
        return body

    def _as_sent(self, picture: bytes) -> str:
        code = base64.b64encode(picture).decode("ascii")
        if self._map.references == "base64":
            return code
        try:
            _, kind = open_picture(picture)
        except NoPicture as error:
            raise Refused(f"a reference {error}", "references") from error
        return f"data:{FORMATS[kind]};base64,{code}"

    def _uploaded(self, pictures: list[str], order: "_Order") -> list[str]:
        call = self._map.upload
        if call is None:
            raise Refused(f"{self._model.id}: its map has no upload for references", "references")
        try:
            answer = self._ask(call, {**order.values(), "references": pictures})
        except _Lost as lost:
            raise Unavailable(f"{self._model.id} does not take references: {lost}", "no_connection") from lost
        self._raise_for_status(answer, "upload")
        urls = at(answer.document, self._map.told.uploaded)
        if not isinstance(urls, list) or len(urls) != len(pictures) or not all(isinstance(u, str) for u in urls):
            raise Refused(f"{self._model.id} did not take the references: {answer.message}", "references")
        return urls

    def _read_back(self, order: "_Order", known: set[str], why: str, *, made_nothing: bool = False) -> str:
        """The job that came of a call whose answer says nothing; `made_nothing` where it says so much that none came."""
        for look in range(_LOOKS if self._map.find else 0):
            if look:
                self._pause(threading.Event(), self._map.poll_seconds)
            try:
                fresh = [job for job in self._jobs(order.reference) if job.id not in known]
            except (Unavailable, Throttled, SwitchedOff):
                made_nothing = False
                continue
            if fresh:
                return fresh[-1].id
        if made_nothing and self._map.find:
            raise Unavailable(f"{self._model.id}: {why}, and there is no job {order.reference}", "server_error")
        raise Uncertain(
            f"{self._model.id}: the job was sent, {why}, and it is not among the gateway's jobs. Look for {order.reference} "
            "there; asked again with the same key, it is looked for before another is sent",
            "answer_lost",
        )

    def _jobs(self, reference: str) -> list["_Job"]:
        """All jobs of this reference, in the gateway's order. Raises SwitchedOff, Throttled, Unavailable; changes nothing."""
        if self._map.find is None:
            return []
        try:
            answer = self._ask(self._map.find, {"reference": reference})
        except _Lost as lost:
            raise Unavailable(f"{self._model.id} does not answer: {lost}", "no_connection") from lost
        self._raise_for_status(answer, "find")
        listed = at(answer.document, self._map.told.jobs)
        if listed is None and self._map.told.jobs == "":
            listed = []
        if not isinstance(listed, list):
            raise SwitchedOff(f"{self._model.id}: `find` gives no list; correct options.told.jobs", "map")
        jobs = [_job(entry, self._map) for entry in listed]
        return [job for job in jobs if job is not None and job.reference == reference]

    def _jobs_if_told(self, reference: str) -> list["_Job"]:
        try:
            return self._jobs(reference)
        except (SwitchedOff, Throttled, Unavailable):
            return []

    def _waited_for(
        self, job: str, order: "_Order", waker: threading.Event, is_cancelled: Callable[[], bool]
    ) -> "_Job":
        deadline, unseen, pause = self._now() + self._map.job_seconds, 0, self._map.poll_seconds
        while True:
            waker.clear()
            seen, retry_after = self._look(job)
            if seen is not None and (ended := self._ended(seen)):
                return ended
            unseen = unseen + 1 if seen is None and retry_after is None else 0
            if unseen >= _LOOKS:
                other = [
                    found for found in self._jobs_if_told(order.reference) if found.id != job and not found.is_over
                ]
                if not other:
                    raise Uncertain(f"{self._model.id} took the job {job} and does not know it any more", "job_lost")
                job, unseen = other[-1].id, 0
            if is_cancelled():
                return self._stopped(job, order)
            if self._now() >= deadline:
                raise Uncertain(
                    f"{self._model.id}: the job {job} has not ended after {self._map.job_seconds:.0f} s. Ask again with the "
                    "same key: it is taken up",
                    "timed_out",
                )
            self._wait(waker, max(pause, min(retry_after or 0.0, _LONGEST_PAUSE)), deadline, is_cancelled)

    def _wait(self, waker: threading.Event, seconds: float, deadline: float, is_cancelled: Callable[[], bool]) -> None:
        until = min(self._now() + seconds, deadline)
        while not waker.is_set() and not is_cancelled() and (left := until - self._now()) > 0:
            self._pause(waker, min(left, 0.5))

    def _look(self, job: str) -> tuple["_Job | None", float | None]:
        """The job as it is now; (None, seconds) where it could not be asked about, (None, None) where nobody knows it."""
        try:
            answer = self._ask(self._map.fetch, {"id": job})
        except _Lost:
            return None, 0.0
        if answer.status in (401, 403):
            raise Uncertain(
                f"{self._model.id} refuses the key while the job {job} is under way: {answer.message}", "key_refused"
            )
        if answer.status == 429 or answer.status >= 500:
            return None, answer.retry_after or 0.0
        if answer.status >= 300:
            return None, None
        return _job(at(answer.document, self._map.told.job), self._map, job), None

    def _ended(self, job: "_Job") -> "_Job | None":
        """The job if it is done, None while it is not. Raises what it failed with."""
        words = self._map.words
        if means(job.status, words.done):
            return job
        self._refuse_what_was_blocked(job)
        if means(job.status, words.failed) or means(job.status, words.cancelled):
            why = job.reason or str(job.status)
            cost = self._told_cost(job)
            if cost:
                raise Poisoned(f"{self._model.id}: the job {job.id} failed and was billed: {why}", "job_failed", cost)
            raise Unavailable(f"{self._model.id}: the job {job.id} failed: {why}", "job_failed")
        return None

    def _stopped(self, job: str, order: "_Order") -> "_Job":
        """After cancelling: raises Cancelled where the gateway confirms it, gives the job where it was done before."""
        if self._map.cancel is not None:
            # Whatever is answered: what counts is what became of the job.
            with suppress(_Lost):
                self._ask(self._map.cancel, {**order.values(), "id": job})
        seen, _ = self._look(job)
        if seen is not None and means(seen.status, self._map.words.cancelled):
            raise Cancelled(f"{self._model.id}: the job {job} was cancelled", "cancelled")
        if seen is not None and (ended := self._ended(seen)):
            return ended
        raise Uncertain(
            f"{self._model.id}: not wanted any more, but the job {job} could not be stopped and may be billed",
            "cancel_failed",
        )

    # What it brought

    def _brought(self, job: "_Job", request: ImageRequest, order: "_Order", notes: tuple[str, ...]) -> Generated:
        told_cost = self._told_cost(job)
        cost = told_cost if told_cost is not None else self.estimate(request)
        if not job.images:
            raise Poisoned(f"{self._model.id}: the job {job.id} is done and brings no picture", "no_image", cost)
        seed = job.seed if job.seed is not None else order.seed
        details = {"job": job.id, "reference": order.reference}
        if job.is_grid:
            grid = self._download(job.images[0], job.id, cost)
            try:
                pictures = split_grid(grid)
            except NoPicture as error:
                raise Poisoned(f"the grid of the job {job.id} {error}", "unusable_grid", cost) from error
        else:
            pictures = [self._download(url, job.id, cost) for url in job.images]
        images = []
        for place, content in enumerate(pictures):
            try:
                opened, kind = open_picture(content)
            except NoPicture as error:
                raise Poisoned(f"a picture of the job {job.id} {error}", "unusable_image", cost) from error
            size = (opened.width, opened.height)
            images.append(Image(content, FORMATS[kind], *size, seed=seed, details={**details, "place": place}))
        if len(images) < request.count:
            what = f"{len(images)} pictures where {request.count} were wanted"
            raise Poisoned(f"{self._model.id}: the job {job.id} brings {what}", "too_few", cost)
        if len(images) > request.count:
            notes = (*notes, f"the job made {len(images)} pictures, of which {request.count} were wanted")
        usage = {"jobs": 1, "images": len(images), "cost_told": told_cost is not None}
        return Generated(tuple(images[: request.count]), self._model.model, cost, usage, job.id, notes)

    def _told_cost(self, job: "_Job") -> int | None:
        """Millionths of a US dollar by the credits that the gateway tells, None where it tells none."""
        if job.credits is None or self._map.usd_per_credit is None:
            return None
        return round(job.credits * self._map.usd_per_credit * MICROS)

    def _download(self, url: str, job: str, cost: int) -> bytes:
        """A picture's bytes. They are paid, so it is tried again; lost ones can be had by the same key once more."""
        base = self._url or ""
        url = urljoin(base, url)
        there, home = urlsplit(url), urlsplit(base)
        at_home = (there.scheme, there.netloc) == (home.scheme, home.netloc)
        if not at_home and (there.scheme != "https" or there.hostname not in self._map.image_hosts):
            raise Poisoned(
                f"{self._model.id}: the job {job} names a picture on {there.hostname}, which is not in options.image_hosts",
                "strange_host",
                cost,
            )
        why = ""
        for look in range(_LOOKS):
            if look:
                self._pause(threading.Event(), self._map.poll_seconds)
            try:
                with self._client.stream("GET", url, headers=self._key_header() if at_home else {}) as answer:
                    if answer.status_code == 200:
                        return _body_of(answer, job, cost)
                    why = f"HTTP {answer.status_code}"
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
        raise Uncertain(
            f"{self._model.id}: the job {job} is done and its picture cannot be fetched ({why}). Ask again with the same key",
            "download_failed",
        )

    # Calls

    def _ask(self, call: Call, values: Mapping[str, Any], body: Mapping[str, Any] | None = None) -> "_Answer":
        """One call. Raises _Lost where no answer came."""
        path = call.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        body = body if body is not None else body_of(call, values)
        content: dict[str, Any] = {"json": body} if body or call.method == "POST" else {}
        url = f"{(self._url or '').rstrip('/')}{path}"
        try:
            answer = self._client.request(call.method, url, headers=self._key_header(), **content)
        except httpx.RequestError as error:
            why = self._without_key(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            raise _Lost(why, was_sent=not isinstance(error, _NEVER_SENT)) from error
        try:
            document = answer.json()
        except ValueError:
            document = None
        said = at(document, self._map.told.message) or at(document, "message") or at(document, "error") or answer.text
        message = self._without_key(" ".join(str(said).split()))[:300] or "no reason given"
        return _Answer(answer.status_code, document, message, _seconds(answer.headers.get("retry-after")))

    def _raise_for_status(self, answer: "_Answer", call: str) -> None:
        """For calls of which nothing is left where they fail."""
        name, status = self._model.id, answer.status
        if status < 300:
            return
        if status == 429:
            raise Throttled(f"{name}: too many calls: {answer.message}", "too_many_requests", answer.retry_after)
        if status in (401, 403):
            raise SwitchedOff(f"{name} refuses the key ({status}): {answer.message}", "key_refused")
        if status == 402:
            raise SwitchedOff(f"{name}: no credit is left: {answer.message}", "no_credit")
        if status in (404, 405) or status < 400:
            raise SwitchedOff(f"{name}: options.{call}.path is not there ({status}); correct it or the URL", "map")
        if status >= 500:
            raise Unavailable(f"{name} answers HTTP {status}: {answer.message}", "server_error")
        raise Refused(f"{name} refuses it ({status}): {answer.message}", f"http_{status}")

    def _refuse_what_was_blocked(self, job: "_Job") -> None:
        if means(job.status, self._map.words.failed):
            self._refuse_if_blocked(job.reason, False, "output")

    def _refuse_if_blocked(self, message: str, is_banned: bool, stage: str) -> None:
        if is_banned or any(part in message.casefold() for part in self._map.words.moderation):
            raise Blocked(f"{self._model.id}: {message}", "banned_prompt" if is_banned else "moderated", stage)

    def _key_header(self) -> dict[str, str]:
        return {self._map.key_header: f"{self._map.key_prefix}{self._key}"} if self._key else {}

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text

    @contextmanager
    def _waker(self, reference: str) -> Iterator[threading.Event]:
        event = self._wakers.setdefault(reference, threading.Event())
        try:
            yield event
        finally:
            self._wakers.pop(reference, None)


@dataclass(frozen=True)
class _Order:
    reference: str
    seed: int

    def values(self) -> dict[str, Any]:
        return {"reference": self.reference, "seed": self.seed}


@dataclass(frozen=True)
class _Job:
    """A job as the gateway shows it. `images` are URLs: of one grid, or of single pictures."""

    id: str
    reference: str
    status: Any
    reason: str
    images: tuple[str, ...]
    is_grid: bool
    seed: int | None
    credits: float | None
    is_over: bool


@dataclass(frozen=True)
class _Answer:
    status: int
    document: Any
    message: str
    retry_after: float | None


class _Lost(Exception):
    """No answer came; `was_sent` is False where the call surely never arrived."""

    def __init__(self, why: str, was_sent: bool) -> None:
        super().__init__(why)
        self.was_sent = was_sent


def _read_map(model: Model) -> tuple[GatewayMap, str | None]:
    """The map of the entry's options; the standard one, and what is wrong, where it cannot be read."""
    try:
        names = GatewayMap.model_validate(model.options)
        _authorities(names.ca_file)
        return names, None
    except OSError as error:
        return GatewayMap(), f"{model.id}: options.ca_file cannot be read: {error}. Correct image_models.yaml"
    except ValidationError as error:
        faults = "; ".join(f"options.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return GatewayMap(), f"{model.id} in image_models.yaml cannot be used: {faults}"


@cache
def _authorities(file: str | None) -> ssl.SSLContext:
    """Reading all of the public ones takes longer than most calls."""
    context = httpx.create_ssl_context(trust_env=False)
    if file is not None:
        context.load_verify_locations(file)
    return context


def _job(entry: Any, names: GatewayMap, called: str | None = None) -> _Job | None:
    told, words = names.told, names.words
    status = at(entry, told.status)
    found = at(entry, told.job_id)
    job = called or (str(found) if isinstance(found, (str, int)) else None)
    if job is None or status is None:
        return None
    several = at(entry, told.images)
    urls = tuple(url for url in several if isinstance(url, str)) if isinstance(several, list) else ()
    grid = at(entry, told.image)
    is_grid = not urls
    if is_grid and isinstance(grid, str) and grid:
        urls = (grid,)
    seed, paid = at(entry, told.seed), at(entry, told.credits)
    is_over = means(status, words.failed) or means(status, words.cancelled)
    return _Job(
        id=job,
        reference=str(at(entry, told.reference) or ""),
        status=status,
        reason=" ".join(str(at(entry, told.reason) or "").split())[:300],
        images=urls,
        is_grid=is_grid,
        seed=int(seed) if isinstance(seed, (int, str)) and str(seed).isdigit() else None,
        credits=float(paid) if isinstance(paid, (int, float)) else None,
        is_over=is_over,
    )


def _to_take_up(jobs: list[_Job]) -> _Job | None:
    """The newest that is done or may yet be: only where all of them failed or were cancelled is another one made."""
    alive = [job for job in jobs if not job.is_over]
    return alive[-1] if alive else None


def _body_of(answer: httpx.Response, job: str, cost: int) -> bytes:
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > _MOST_BYTES:
            raise Poisoned(f"a picture of the job {job} has more than {_MOST_BYTES:,} bytes", "unusable_image", cost)
        parts.append(part)
    return b"".join(parts)


def _seconds(told: str | None) -> float | None:
    try:
        return max(0.0, float(told)) if told is not None else None
    except ValueError:
        return None
