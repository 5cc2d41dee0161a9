"""Asking for pictures: remembered ones first, then whoever is chosen, within the budgets, once.

Belongs here: the order in which the parts are asked. Does not belong here: the parts (`cache`, `choice`, `failover`, `budgets`),
opening them (`adapters`), and what is done with a picture (`assets/visuals/making`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from resources.channels.transport import Clock
from resources.images.choice import Candidate
from resources.images.failover import Attempt
from resources.images.picture_store import PictureStore
from resources.images.policy import ImagePolicy
from resources.images.protocol import Image, ImageProvider, ImageRequest
from resources.images.registry import Registry
from resources.store.brand_store import BrandStore


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `key` names the effect: the same one again brings the same. `provider` is a provider's name, an alias
    or a model's id. `fresh` pictures are not taken from the cache, nor do they change it."""

    request: ImageRequest
    key: str
    principal: str = "system"
    campaign: str | None = None
    provider: str | None = None
    fresh: bool = False
    seed_required: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it. `cost` in millionths of a US dollar, of this request; `cached` and `joined` ones cost nothing.

    `code` tells failures apart: `no_candidate`, `budget`, `attempts`, `uncertain`, `cancelled`, `lost`.
    """

    state: Literal["made", "blocked", "failed"]
    images: tuple[Image, ...] = ()
    provider: str | None = None
    model: str | None = None
    cost: int = 0
    candidates: tuple[Candidate, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    cached: bool = False
    joined: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    error: str | None = None
    code: str | None = None


class ImageService:
    """The brand's. May be shared by threads; its memory is the store's, so that processes share it, too."""

    def __init__(
        self,
        books: BrandStore,
        registry: Registry,
        providers: Mapping[str, ImageProvider],
        policy: ImagePolicy,
        store: PictureStore,
        clock: Clock | None = None,
    ) -> None:
        raise NotImplementedError

    def make(self, wanted: Wanted, is_cancelled: Callable[[], bool] = lambda: False) -> Outcome:
        raise NotImplementedError

    def candidates(self, wanted: Wanted) -> list[Candidate]:
        raise NotImplementedError
