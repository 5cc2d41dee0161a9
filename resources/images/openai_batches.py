"""Many pictures at half the price, worked off within a day: OpenAI's Batch API.

Belongs here: handing a batch in once, finding it again, and reading what it brought. Does not belong here: rows that remember
batches (`resources.store`), and when they are asked about.

A batch carries the effect's key in its metadata. Whoever does not know whether one was taken asks for it by that key; `submit`
does so, too, before it hands anything in.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from resources.images import openai_wire as wire
from resources.images.openai_images import open_client, why_unavailable
from resources.images.protocol import (
    Generated,
    ImageError,
    ImageRequest,
    Poisoned,
    Refused,
    SwitchedOff,
    Unavailable,
    Uncertain,
)
from resources.images.registry import Model
from resources.images.sdk_errors import from_answer, translated

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch, ImagesResponse

ENDPOINT = "/v1/images/generations"
MOST_REQUESTS = 200
"""A batch's pictures are read into memory together."""
_KEY = "luxauto_key"
_MOST_INPUT = 200_000_000
_MOST_NAME = 64

State = Literal["submitted", "completed", "failed", "cancelled"]
_STATES: Mapping[str, State] = {
    "validating": "submitted",
    "in_progress": "submitted",
    "finalizing": "submitted",
    "cancelling": "submitted",
    "completed": "completed",
    "expired": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class BatchReport:
    """Where a batch stands. Once its `state` is not `submitted`, each request has a result: pictures, or why there are none.

    `cost` is that of all results, in millionths of a US dollar. A batch that expired is `completed`, with what it brought.
    """

    vendor_id: str
    state: State
    done: int = 0
    total: int = 0
    results: Mapping[str, Generated | ImageError] = field(default_factory=dict)
    cost: int = 0
    error: str | None = None


class OpenAIBatches:
    """Batches of one model. May be shared by threads."""

    def __init__(
        self,
        model: Model,
        url: str | None,
        key: str | None,
        timeout_seconds: float = 180,
        end_user: str | None = None,
    ) -> None:
        self._model, self._url, self._key = model, (url or model.url or "").strip(), key
        self._timeout, self._end_user = timeout_seconds, end_user

    def unavailable(self) -> str | None:
        """Why no batch can be handed in. Asks nobody."""
        if "batch" not in self._model.supports:
            return f"{self._model.id} takes no batches"
        return why_unavailable(self._model, self._url, self._key)

    def estimate(self, requests: Mapping[str, ImageRequest]) -> int:
        """The most that the batch may cost, in millionths of a US dollar."""
        return sum(wire.estimate(self._model, request, batch=True) for request in requests.values())

    def check(self, requests: Mapping[str, ImageRequest]) -> None:
        """Raises Refused for requests that it does not take. Asks nobody."""
        self._lines(requests)

    def submit(self, requests: Mapping[str, ImageRequest], key: str) -> str:
        """Hand them in by their `custom_id` and give the vendor's id of the batch; one that has this `key` is not repeated.

        Raises Refused for requests that it does not take, Uncertain where the batch may have been taken (`find` tells), and
        the protocol's other errors where it was not.
        """
        self._usable()
        lines = self._lines(requests)
        if (known := self.find(key)) is not None:
            return known
        from openai import OpenAIError

        digest = _digest(key)
        try:
            file = self._client.files.create(file=(f"{digest[:16]}.jsonl", lines), purpose="batch")
        except (OpenAIError, ValueError) as error:
            raise self._unsent(error) from error
        try:
            batch = self._client.batches.create(
                input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={_KEY: digest}
            )
        except (OpenAIError, ValueError) as error:
            failure = translated(error, self._model.id)
            # An answer that cannot be read is as good as lost: the batch may stand.
            raise (Uncertain(str(failure), failure.code) if isinstance(failure, Poisoned) else failure) from error
        return batch.id

    def find(self, key: str) -> str | None:
        """The vendor's id of the batch that was handed in with this key; None where there is none. Costs nothing."""
        self._usable()
        from openai import OpenAIError

        digest = _digest(key)
        try:
            for batch in self._client.batches.list(limit=100):
                if (batch.metadata or {}).get(_KEY) == digest:
                    return batch.id
        except (OpenAIError, ValueError) as error:
            raise self._unsent(error) from error
        return None

    def poll(self, vendor_id: str, requests: Mapping[str, ImageRequest]) -> BatchReport:
        """Where the batch stands and, once it has ended, what came of each request. `requests` as they were handed in.

        Raises Unavailable, Throttled or SwitchedOff where nobody could tell; asking again costs nothing.
        """
        self._usable()
        import httpx2
        from openai import OpenAIError

        try:
            batch = self._client.batches.retrieve(vendor_id)
            return self._report(batch, requests)
        except httpx2.HTTPError as error:
            # A file is read as it comes, past the SDK's own errors.
            raise Unavailable(f"{self._model.id}: the results broke off: {error}", "connection_lost") from error
        except (OpenAIError, ValueError) as error:
            raise self._unsent(error) from error

    def standing(self, vendor_id: str) -> BatchReport:
        """Where the batch stands, without what it brought: that is not read. Raises as `poll` does."""
        self._usable()
        from openai import OpenAIError

        try:
            batch = self._client.batches.retrieve(vendor_id)
        except (OpenAIError, ValueError) as error:
            raise self._unsent(error) from error
        counts = batch.request_counts
        done, total = (counts.completed + counts.failed, counts.total) if counts else (0, 0)
        return BatchReport(batch.id, _STATES[batch.status], done, total, error=_faults_of(batch))

    def cancel(self, vendor_id: str) -> None:
        """What has been made by then is still paid and can be read. Raises as `poll` does."""
        self._usable()
        from openai import OpenAIError

        try:
            self._client.batches.cancel(vendor_id)
        except (OpenAIError, ValueError) as error:
            raise self._unsent(error) from error

    def close(self) -> None:
        """Let go of the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    def _usable(self) -> None:
        if why := self.unavailable():
            raise SwitchedOff(why, "unavailable")

    def _unsent(self, error: Exception) -> ImageError:
        """Of calls that change nothing that is paid: an answer that was lost is no more than one that did not come."""
        failure = translated(error, self._model.id)
        return Unavailable(str(failure), failure.code) if isinstance(failure, (Uncertain, Poisoned)) else failure

    def _lines(self, requests: Mapping[str, ImageRequest]) -> bytes:
        if not 1 <= len(requests) <= MOST_REQUESTS:
            raise Refused(f"a batch has 1 to {MOST_REQUESTS} requests, not {len(requests)}: split it", "count")
        lines = []
        for name, request in requests.items():
            if not 1 <= len(name) <= _MOST_NAME:
                raise Refused(f"{name[:80]!r} cannot name a request: give 1 to {_MOST_NAME} characters", "custom_id")
            if request.references:
                raise Refused(f"{name}: a batch takes no references; ask for it by itself", "references")
            asked = wire.ask(self._model, request, self._end_user)
            line = {"custom_id": name, "method": "POST", "url": ENDPOINT, "body": {**asked.body, **asked.extra}}
            lines.append(json.dumps(line, ensure_ascii=False))
        content = "\n".join(lines).encode() + b"\n"
        if len(content) > _MOST_INPUT:
            raise Refused(f"the batch has {len(content):,} bytes; 200 MB are the limit: split it", "size")
        return content

    def _report(self, batch: "Batch", requests: Mapping[str, ImageRequest]) -> BatchReport:
        state, counts = _STATES[batch.status], batch.request_counts
        done = counts.completed + counts.failed if counts else 0
        if state == "submitted":
            return BatchReport(batch.id, state, done, len(requests))
        results: dict[str, Generated | ImageError] = {}
        for file in (batch.output_file_id, batch.error_file_id):
            for line in self._read(file):
                name = str(line.get("custom_id"))
                if name in requests:
                    results[name] = self._result(line, requests[name])
        error = _faults_of(batch)
        for name in requests:
            results.setdefault(name, self._missing(name, batch.status, error))
        cost = sum(result.cost for result in results.values() if isinstance(result, (Generated, Poisoned)))
        return BatchReport(batch.id, state, done, len(requests), results, cost, error)

    def _read(self, file_id: str | None) -> Iterator[dict[str, Any]]:
        """A line at a time, since a file holds every picture. Raises ValueError for one that is no JSON."""
        if file_id is None:
            return
        with self._client.files.with_streaming_response.content(file_id) as answer:
            for line in answer.iter_lines():
                if line.strip():
                    yield json.loads(line)

    def _result(self, line: Mapping[str, Any], request: ImageRequest) -> Generated | ImageError:
        response, error = line.get("response"), line.get("error")
        name = f"{self._model.id}: {line.get('custom_id')}"
        if isinstance(response, Mapping) and response.get("status_code") == 200:
            try:
                answer = _as_answer(response.get("body"))
            except ValueError as problem:
                most = wire.estimate(self._model, request, batch=True)
                return Poisoned(
                    f"{name}: its answer is not what it should be: {problem}"[:400], "unreadable_answer", most
                )
            asked = wire.ask(self._model, request, self._end_user)
            try:
                return wire.read(self._model, request, asked, answer, batch=True)
            except Poisoned as poisoned:
                return poisoned
        if isinstance(response, Mapping):
            return from_answer(int(response.get("status_code") or 500), response.get("body"), {}, name)
        told = error if isinstance(error, Mapping) else {}
        code = str(told.get("code") or "batch_error")
        return Unavailable(f"{name}: {told.get('message') or 'no reason was given'} ({code})", code)

    def _missing(self, name: str, status: str, error: str | None) -> ImageError:
        what = f"{self._model.id}: {name}"
        if status == "failed":
            return Refused(f"{what}: the batch was not accepted: {error or 'no reason was given'}", "batch_failed")
        if status == "cancelled":
            return Unavailable(f"{what}: the batch was cancelled before it was made", "batch_cancelled")
        return Uncertain(f"{what}: the batch has ended and says nothing of it; it may be billed", "missing_result")

    @cached_property
    def _client(self) -> "OpenAI":
        return open_client(self._url, self._key, self._timeout)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _as_answer(body: object) -> "ImagesResponse":
    """Held against the SDK's own type; pydantic's ValidationError is a ValueError."""
    from openai.types import ImagesResponse

    return ImagesResponse.model_validate(body)


def _faults_of(batch: "Batch") -> str | None:
    told = batch.errors.data if batch.errors and batch.errors.data else []
    said = [f"line {one.line}: {one.message}" if one.line else str(one.message) for one in told[:5]]
    if batch.status == "expired":
        said.append("it was not worked off within a day")
    return "; ".join(said) or None
