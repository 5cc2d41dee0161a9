"""What every maker of pictures can be asked, what it answers, and the ways in which it cannot.

Belongs here: the words between those who choose a provider and those who speak to one. Does not belong here: any vendor, and
what is done about a failure (`failover`).

An adapter tries once. It never waits for a retry, never chooses another model and never hides what may have been billed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Quality = Literal["low", "medium", "high", "ultra"]
Format = Literal["png", "webp", "jpeg", "svg"]
MICROS = 1_000_000
"""Costs are whole millionths of a US dollar."""


@dataclass(frozen=True)
class ImageRequest:
    """Pictures that are wanted. `width` and `height` are pixels; `count` of them differ by nothing that was asked for.

    `layout` is what the studio sets (a brief of `assets/visuals`); those who paint do not look at it. `options` are for models
    that take them: `steps`, `guidance`, `sampler`, `lora`, `lora_scale`, `strength`.
    """

    prompt: str
    content_type: str = "product_photo"
    width: int = 1024
    height: int = 1024
    quality: Quality = "high"
    count: int = 1
    format: Format = "png"
    negative: str = ""
    seed: int | None = None
    references: tuple[bytes, ...] = ()
    transparent: bool = False
    kit_version: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    layout: Any = None


@dataclass(frozen=True)
class Image:
    """One picture as it came. `markup` is what it was rasterised from, `details` what else its maker told."""

    content: bytes
    media_type: str
    width: int
    height: int
    seed: int | None = None
    markup: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Generated:
    """What a call brought. `cost` in millionths of a US dollar as its usage says; `model` by the name that it answered with."""

    images: tuple[Image, ...]
    model: str
    cost: int
    usage: Mapping[str, Any] = field(default_factory=dict)
    call_id: str | None = None
    notes: tuple[str, ...] = ()


class ImageProvider(Protocol):
    """One model of one provider."""

    def unavailable(self) -> str | None:
        """Why it cannot be asked at all, as for want of a key; None where it can. Asks nobody."""
        ...

    def estimate(self, request: ImageRequest) -> int:
        """The most that the call may cost, in millionths of a US dollar; so much of the budgets is reserved."""
        ...

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        """Ask once. `key` names the effect: where a provider knows such keys, a repeated one is not painted again.

        Raises the errors below and no others for what a provider does.
        """
        ...


class ImageError(Exception):
    """A provider did not bring pictures. `code` is its own word for why, or ours where it has none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Blocked(ImageError):
    """A filter refused what was asked for or what came of it. A result: no other provider is asked for the same.

    `cost` is for those who bill what they refuse, in millionths of a US dollar.
    """

    def __init__(
        self,
        message: str,
        code: str = "moderation_blocked",
        stage: str = "input",
        categories: tuple[str, ...] = (),
        cost: int = 0,
    ) -> None:
        super().__init__(message, code)
        self.stage = stage
        self.categories = categories
        self.cost = cost


class Refused(ImageError):
    """The request is not one that this provider takes; another may."""


class Throttled(ImageError):
    """Too many calls. Nothing was made; it may be asked again after `retry_after` seconds, where it told."""

    def __init__(self, message: str, code: str = "rate_limit_exceeded", retry_after: float | None = None) -> None:
        super().__init__(message, code)
        self.retry_after = retry_after


class Unavailable(ImageError):
    """It does not answer or says that it is broken. Nothing was made, as far as anybody can tell, and nothing billed."""


class SwitchedOff(ImageError):
    """It will not answer until somebody changes something: the key, the account's credit, a model that is gone."""


class Uncertain(ImageError):
    """The call was sent and its answer was lost: the picture may have been made and billed."""


class Poisoned(ImageError):
    """It answered as if all were well, and brought no picture that can be used. `cost` was billed all the same."""

    def __init__(self, message: str, code: str = "unusable_answer", cost: int = 0) -> None:
        super().__init__(message, code)
        self.cost = cost


class Cancelled(ImageError):
    """Whoever asked does not want it any more."""
