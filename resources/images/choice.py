"""Who is asked for a picture first, and who not at all, each with its reason.

Belongs here: what a model must be able to do for a request, and how those that can are scored. Does not belong here: finding
out how a model stands (`standing`), and what is done when it fails (`failover`). Nothing here reads or writes anything.

score = (w_quality·quality + w_cost·cost + w_latency·latency + w_queue·queue) / (sum of the weights), each part 0 to 1:

- quality: the registry's prior and the scores of pictures judged here, weighted by how many there are, times the share of calls
  that did not fail by the provider's fault;
- cost: 1 / (1 + US dollars a picture / `usual_usd`);
- latency: 1 / (1 + seconds / `usual_seconds`), of the median measured here and the registry's, weighted alike;
- queue: 1 / (1 + calls under way / those that run side by side).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from statistics import median

from resources.images.budgets import Room, too_dear, usd
from resources.images.policy import ImagePolicy
from resources.images.protocol import MICROS, ImageRequest
from resources.images.registry import Found, Model

_RASTER = ("png", "webp", "jpeg")
_PALETTE = "palette"
"""The option that a model takes which knows no others: the colours to keep to."""


@dataclass(frozen=True)
class Candidate:
    """A model that might make the picture. `parts` are quality, cost, latency and queue, 0 to 1; `rejected` says why it is not
    asked, `note` what its score comes from and what is special about it."""

    model: str
    provider: str
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    rejected: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Standing:
    """How a model stands now. `estimate` in millionths of a US dollar, None where its price is not known; `judged` is the mean
    score of its pictures here and their number; `shut` says why it is left alone for a while, `wait` for how many seconds it
    asked to be left alone."""

    estimate: int | None
    unavailable: str | None = None
    judged: tuple[float, int] = (0.0, 0)
    made: int = 0
    troubles: int = 0
    seconds: Sequence[float] = ()
    in_flight: int = 0
    shut: str | None = None
    wait: float | None = None


@dataclass(frozen=True)
class Ranked:
    """A candidate with all that is needed to ask it. `request` is fitted to what it makes; `calm` is its score with nobody in
    the queue. `able`: it could make the picture, but for what may pass, such as a budget or an outage. `wait`: in so many
    seconds it may be asked, where that alone is in its way. `differs`: what is to be said with its picture.
    `estimate`: the most that it may cost, in millionths of a US dollar."""

    model: Model
    request: ImageRequest
    candidate: Candidate
    able: bool
    calm: float = 0.0
    wait: float | None = None
    differs: tuple[str, ...] = ()
    estimate: int = 0

    @property
    def is_open(self) -> bool:
        return self.candidate.rejected is None

    def without(self, reason: str) -> "Ranked":
        """The same, rejected after all."""
        return replace(self, candidate=replace(self.candidate, rejected=reason))


def rank(
    found: Sequence[Found],
    request: ImageRequest,
    day: date,
    standing: Callable[[Model, ImageRequest], Standing],
    room: Room,
    policy: ImagePolicy,
    *,
    campaign: str | None = None,
    seed_required: bool = False,
) -> list[Ranked]:
    """Every candidate: those that can be asked first, by their score, then the others with their reasons.

    Of equal scores the one that stands first in the registry comes first.
    """
    ranked = [_ranked(one, request, day, standing, room, policy, campaign, seed_required) for one in found]
    return sorted(ranked, key=lambda one: (not one.is_open, -(one.candidate.score or 0.0)))


def unable(
    model: Model, request: ImageRequest, day: date, policy: ImagePolicy, *, seed_required: bool = False
) -> str | None:
    """Why this model cannot make it, whatever happens; None where it can. `request` is fitted to it."""
    return (
        _lifecycle(model, day)
        or _rules(model, request, policy)
        or _words(model, request)
        or _size(model, request)
        or _needs(model, request, seed_required)
    )


def fitted(model: Model, request: ImageRequest) -> tuple[ImageRequest, tuple[str, ...]]:
    """The request as this model can be asked it, and what differs: whoever asked cuts and converts what comes.

    Sides become multiples of what the model makes; a raster format that it does not write comes as PNG; a seed that it does not
    know is left out.
    """
    notes = []
    step = model.sizes.multiple_of
    width, height = (math.ceil(side / step) * step for side in (request.width, request.height))
    if (width, height) != (request.width, request.height):
        notes.append(f"made at {width} × {height}, as its sides are multiples of {step}")
    format = request.format
    if format not in model.formats and format in _RASTER and "png" in model.formats:
        notes.append(f"comes as PNG, as it writes no {format}")
        format = "png"
    seed = request.seed
    if seed is not None and "seed" not in model.supports:
        notes.append("knows no seeds: the one given is passed over")
        seed = None
    return replace(request, width=width, height=height, format=format, seed=seed), tuple(notes)


def _ranked(
    one: Found,
    request: ImageRequest,
    day: date,
    standing: Callable[[Model, ImageRequest], Standing],
    room: Room,
    policy: ImagePolicy,
    campaign: str | None,
    seed_required: bool,
) -> Ranked:
    model = one.model
    asked, differs = fitted(model, request)
    candidate = Candidate(model.id, model.provider, note=_joined(one.note))
    why = unable(model, asked, day, policy, seed_required=seed_required)
    if why is not None:
        return Ranked(model, asked, replace(candidate, rejected=why), able=False)
    stands = standing(model, asked)
    parts = _parts(model, asked, stands, policy)
    calm = _score({**parts, "queue": 1.0}, policy)
    note = _joined(one.note, _explained(model, asked, stands), *differs)
    scored = replace(candidate, score=round(_score(parts, policy), 6), parts=parts, note=note)
    rejected = stands.unavailable or _price(stands, room, policy, campaign)
    wait = stands.wait if rejected is None else None
    scored = replace(scored, rejected=rejected or stands.shut)
    told = (*([one.note] if one.note else []), *differs)
    most = stands.estimate or 0
    return Ranked(model, asked, scored, able=True, calm=calm, wait=wait, differs=told, estimate=most)


def _lifecycle(model: Model, day: date) -> str | None:
    if model.retired(day):
        instead = f"; {model.replacement} stands for it" if model.replacement else ""
        return f"was retired on {model.retires}{instead}"
    if model.available and day < model.available:
        return f"is not there before {model.available}"
    return " ".join(model.disabled.split()) if model.disabled else None


def _rules(model: Model, request: ImageRequest, policy: ImagePolicy) -> str | None:
    if request.content_type not in model.content_types:
        return f"makes no {request.content_type}"
    only = policy.only.get(request.content_type)
    if only is not None and model.id not in only and model.provider not in only:
        return f"by the rules of images.yaml, {request.content_type} comes from {', '.join(only)} only"
    return None


def _words(model: Model, request: ImageRequest) -> str | None:
    if len(request.prompt) > model.most_prompt:
        return f"takes prompts of {model.most_prompt:,} characters, and this has {len(request.prompt):,}"
    return None


def _size(model: Model, request: ImageRequest) -> str | None:
    sizes, short, long = model.sizes, *sorted((request.width, request.height))
    what = f"{request.width} × {request.height}"
    if short < sizes.smallest:
        return f"makes no side below {sizes.smallest} pixels, and {what} is wanted"
    if long > sizes.longest:
        return f"makes no side above {sizes.longest} pixels, and {what} is wanted"
    if sizes.ratio and long > sizes.ratio * short:
        return f"makes no side longer than {sizes.ratio:g} times the other, and {what} is wanted"
    if sizes.most_pixels and short * long > sizes.most_pixels:
        return f"makes no more than {sizes.most_pixels:,} pixels, and {what} is wanted"
    return None


def _needs(model: Model, request: ImageRequest, seed_required: bool) -> str | None:
    if request.format not in model.formats:
        return f"writes no {request.format}, only {', '.join(model.formats)}"
    if request.count > model.most_images:
        return f"makes {model.most_images} at once, and {request.count} are wanted"
    if request.references and len(request.references) > model.most_references:
        return f"takes {model.most_references or 'no'} references, and {len(request.references)} are given"
    others = sorted(set(request.options) - {_PALETTE})
    needed = {
        "seed": seed_required,
        "references": bool(request.references),
        "transparent": request.transparent,
        "palette": _PALETTE in request.options,
        "options": bool(others),
    }
    words = {
        "seed": "knows no seeds, and one is required",
        "references": "takes no references",
        "transparent": "makes no transparent ground",
        "palette": "takes no colours of its own (`palette`)",
        "options": f"knows no options such as {', '.join(others[:3])}",
    }
    return next((words[name] for name, is_so in needed.items() if is_so and name not in model.supports), None)


def _price(stands: Standing, room: Room, policy: ImagePolicy, campaign: str | None) -> str | None:
    if stands.estimate is None:
        return "its price for this is not known; correct its `price` in image_models.yaml"
    if stands.estimate > room.day:
        return too_dear(stands.estimate, room.day, None, policy)
    if campaign is not None and room.campaign is not None and stands.estimate > room.campaign:
        return too_dear(stands.estimate, room.campaign, campaign, policy)
    return None


def _parts(model: Model, request: ImageRequest, stands: Standing, policy: ImagePolicy) -> dict[str, float]:
    prior = _prior(model, request)
    mean, number = stands.judged
    quality = _blended(prior, mean, number, policy.prior_weight)
    answered = (stands.made + policy.prior_weight) / (stands.made + stands.troubles + policy.prior_weight)
    each = (stands.estimate or 0) / MICROS / request.count
    took = _blended(model.seconds, median(stands.seconds or (0.0,)), len(stands.seconds), policy.prior_weight)
    parts = {
        "quality": quality * answered,
        "cost": 1 / (1 + each / policy.usual_usd),
        "latency": 1 / (1 + took / policy.usual_seconds),
        "queue": 1 / (1 + stands.in_flight / model.parallel),
    }
    return {name: round(part, 6) for name, part in parts.items()}


def _explained(model: Model, request: ImageRequest, stands: Standing) -> str:
    """What the score comes from, in the units of everybody."""
    number = stands.judged[1]
    quality = f"quality {_prior(model, request):.2f} by the registry"
    if number:
        quality += f", {stands.judged[0]:.2f} in {number} judged here"
    calls = stands.made + stands.troubles
    success = f", {stands.made} of {calls} calls went well" if calls else ""
    cost = "no known price" if stands.estimate is None else f"up to {usd(stands.estimate)}"
    measured = f"{median(stands.seconds):.1f} s here" if stands.seconds else f"{model.seconds:g} s by the registry"
    return f"{quality}{success}, {cost}, {measured}, {stands.in_flight} of {model.parallel} under way"


def _prior(model: Model, request: ImageRequest) -> float:
    return model.prior.by_content_type.get(request.content_type, model.prior.quality)


def _blended(prior: float, measured: float, number: int, weight: float) -> float:
    return (prior * weight + measured * number) / (weight + number)


def _score(parts: Mapping[str, float], policy: ImagePolicy) -> float:
    weights = policy.weights
    return sum(getattr(weights, name) * part for name, part in parts.items()) / weights.total


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None
