"""Opening every provider of the registry with the environment's addresses and keys, and the service on top of them.

Belongs here: which adapter speaks for a model, and why one cannot be opened. Does not belong here: any adapter, and providers
of higher floors, which are given. No vendor's library is imported before a model is asked that needs it.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from resources.channels.transport import Clock
from resources.images.picture_store import open_picture_store
from resources.images.policy import read_policy
from resources.images.protocol import Generated, ImageProvider, ImageRequest, SwitchedOff
from resources.images.registry import Model, Registry, read_registry
from resources.images.service import ImageService
from resources.store.brand_store import BrandStore

RASTERISE = "rasterise"
"""The name among what is given of who turns markup into pixels."""


@dataclass(frozen=True)
class NotOpened:
    """A provider that cannot be asked, and why. `behind` still tells what it would cost."""

    reason: str
    behind: ImageProvider | None = None

    def unavailable(self) -> str | None:
        return self.reason

    def estimate(self, request: ImageRequest) -> int:
        return self.behind.estimate(request) if self.behind else 0

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        raise SwitchedOff(self.reason, "unavailable")


def open_images(
    books: BrandStore,
    given: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> ImageService:
    """The brand's service, with the installation's registry, policy and keys. `given` are providers by their model's id that
    live above this floor, and `rasterise`.

    Raises RegistryError and PolicyError for files that cannot be used.
    """
    environment = os.environ if environment is None else environment
    home = books.settings.home
    registry, policy = read_registry(home), read_policy(home)
    providers = open_providers(registry, environment, given or {}, end_user_of(books))
    marks = {model.id: mark_of(model, environment) for model in registry.models}
    return ImageService(books, registry, providers, policy, open_picture_store(books.settings), clock, marks)


def open_providers(
    registry: Registry, environment: Mapping[str, str], given: Mapping[str, Any], end_user: str | None = None
) -> Mapping[str, ImageProvider]:
    """A provider for each model, by the model's id. One that cannot be asked says why when it is asked for that.

    `end_user` is whom pictures are made for; vendors that tell users apart are sent its hash.
    """
    return {model.id: _opened(model, environment, given, end_user) for model in registry.models}


def end_user_of(books: BrandStore) -> str:
    """Whom vendors are to take a brand's calls for: the brand, as pictures of one order serve all who ask for the same."""
    return f"brand {books.settings.brand}"


def address_of(model: Model, environment: Mapping[str, str]) -> str | None:
    """Its URL: the environment's, or else the registry's."""
    return (environment.get(model.url_variable) if model.url_variable else None) or model.url


def key_of(model: Model, environment: Mapping[str, str]) -> str | None:
    return (environment.get(model.key_variable) if model.key_variable else None) or None


def mark_of(model: Model, environment: Mapping[str, str]) -> str:
    """A fingerprint of address and key, by which a change of either is known and neither can be told."""
    both = f"{address_of(model, environment) or ''}\0{key_of(model, environment) or ''}"
    return hashlib.sha256(both.encode()).hexdigest()[:12]


def _opened(
    model: Model, environment: Mapping[str, str], given: Mapping[str, Any], end_user: str | None
) -> ImageProvider:
    if model.id in given:
        return cast(ImageProvider, given[model.id])
    open_it = _ADAPTERS.get(model.adapter)
    if open_it is None:
        known = ", ".join(sorted(_ADAPTERS))
        return NotOpened(
            f"its adapter {model.adapter!r} is not known; correct it in image_models.yaml to one of {known}"
        )
    url, key, why = address_of(model, environment), key_of(model, environment), None
    if url is None and model.adapter != _STUDIO:
        why = f"has no address: set {model.url_variable or 'its url in image_models.yaml'}"
    elif key is None and not model.key_optional and model.adapter != _STUDIO:
        why = f"has no key: set {model.key_variable or 'its key_variable in image_models.yaml'}"
    try:
        provider = open_it(model, url, key, _Given(given, end_user))
    except (ImportError, ValueError) as error:
        return NotOpened(why or f"cannot be opened: {error}")
    return NotOpened(why, provider) if why else provider


@dataclass(frozen=True)
class _Given:
    """What an adapter may need besides address and key."""

    parts: Mapping[str, Any]
    end_user: str | None


def _openai(model: Model, url: str | None, key: str | None, given: _Given) -> ImageProvider:
    from resources.images.openai_images import OpenAIImages

    return OpenAIImages(model, url, key, end_user=given.end_user)


def _claude(model: Model, url: str | None, key: str | None, given: _Given) -> ImageProvider:
    from resources.images.claude import ClaudeArtifacts

    rasterise = given.parts.get(RASTERISE)
    if rasterise is None:
        return NotOpened("writes markup, and nobody was given who turns it into pixels (`rasterise`)")
    return ClaudeArtifacts(model, url, key, rasterise)


def _midjourney(model: Model, url: str | None, key: str | None, given: _Given) -> ImageProvider:
    from resources.images.midjourney import MidjourneyGateway

    return MidjourneyGateway(model, url, key)


def _sdxl(model: Model, url: str | None, key: str | None, given: _Given) -> ImageProvider:
    from resources.images.sdxl import SdxlProvider

    return SdxlProvider(model, (url or "").replace(",", " ").split(), key)


def _studio(model: Model, url: str | None, key: str | None, given: _Given) -> ImageProvider:
    return NotOpened("is drawn from a brand kit, and none was given here")


_STUDIO = "studio"
_ADAPTERS: Mapping[str, Callable[[Model, str | None, str | None, _Given], ImageProvider]] = {
    "openai_images": _openai,
    "claude": _claude,
    "midjourney": _midjourney,
    "sdxl": _sdxl,
    _STUDIO: _studio,
}
