"""Pictures from OpenAI's Images API, and from all that answer in its shape: Recraft, vLLM-Omni and others, by their address.

Belongs here: one call of the SDK. Does not belong here: bodies, answers and prices (`openai_wire`), what an SDK's error means
(`sdk_errors`), and many pictures at half the price (`openai_batches`).

The SDK asks again by itself; here it never does, since each time may be billed. Connections are not kept: one that the other
side has closed meanwhile would look like an answer that was lost.
"""

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from resources.images import openai_wire as wire
from resources.images.protocol import Cancelled, Generated, ImageRequest, SwitchedOff
from resources.images.registry import Model
from resources.images.sdk_errors import translated

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import ImagesResponse

CONNECT_SECONDS = 10.0


class OpenAIImages:
    """An ImageProvider. `end_user` is whom calls are made for; only its hash is sent. May be shared by threads."""

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
        """Why it cannot be asked: switched off, no key or no address. Asks nobody."""
        return why_unavailable(self._model, self._url, self._key)

    def estimate(self, request: ImageRequest) -> int:
        """The most that the call may cost, in millionths of a US dollar."""
        return wire.estimate(self._model, request)

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        """Ask once. With references the pictures are edits of them. Raises the protocol's errors."""
        if why := self.unavailable():
            raise SwitchedOff(why, "unavailable")
        asked = wire.ask(self._model, request, self._end_user)
        if is_cancelled():
            raise Cancelled(f"{self._model.id}: not wanted any more; nothing was sent", "cancelled")
        answer = self._answer(asked, key, wire.estimate(self._model, request))
        return wire.read(self._model, request, asked, answer)

    def close(self) -> None:
        """Let go of the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    def _answer(self, asked: wire.Asked, key: str, most: int) -> "ImagesResponse":
        from openai import OpenAIError

        # Not every server knows such a key; one that does does not paint the same twice.
        digest = f"luxauto-{hashlib.sha256(key.encode()).hexdigest()}"
        headers = {"Idempotency-Key": digest, "X-Client-Request-Id": digest}
        sent: dict[str, Any] = {**asked.body, "extra_headers": headers, "extra_body": dict(asked.extra) or None}
        try:
            if asked.is_edit:
                return self._client.images.edit(image=list(asked.references), **sent)
            return self._client.images.generate(**sent)
        except (OpenAIError, ValueError) as error:
            raise translated(error, self._model.id, most) from error

    @cached_property
    def _client(self) -> "OpenAI":
        return open_client(self._url, self._key, self._timeout)


def why_unavailable(model: Model, url: str, key: str | None) -> str | None:
    """Why a model behind an SDK cannot be asked; None where it can."""
    if model.disabled:
        return " ".join(model.disabled.split())
    if not url:
        return f"{model.id}: no address; set {model.url_variable or 'url in image_models.yaml'}"
    if not url.startswith(("http://", "https://")):
        return f"{model.id}: {url!r} is no address; give one that begins with http:// or https://"
    if not key and not model.key_optional:
        return f"{model.id}: no key; set {model.key_variable or 'key_variable in image_models.yaml'}"
    return None


def open_client(url: str, key: str | None, timeout_seconds: float) -> "OpenAI":
    """The SDK's client: one attempt a call, answers held against their types, no connection kept."""
    import httpx2
    import openai

    timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
    transport = openai.DefaultHttpxClient(
        timeout=timeout, limits=httpx2.Limits(max_keepalive_connections=0), follow_redirects=False
    )
    return openai.OpenAI(
        api_key=key or "none",
        base_url=url,
        timeout=timeout,
        max_retries=0,
        http_client=transport,
        _strict_response_validation=True,
    )
