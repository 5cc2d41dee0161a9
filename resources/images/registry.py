"""Which models of which providers there are: what each can do, costs and is good at, and when it ends.

Belongs here: reading `registry.yaml` and the installation's changes to it, and finding a model by id, provider or alias. Does
not belong here: which of them is chosen (`choice`), and speaking to one (its adapter).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from resources.images.protocol import Format, Quality

OVERRIDES = "image_models.yaml"
Capability = Literal["seed", "references", "negative", "transparent", "batch", "palette", "options", "keys"]
"""`keys`: what was asked under a key is found again by it, and is not made twice. The others are a request's fields."""
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RegistryError(Exception):
    """The registry cannot be used; the message names the entry, the field and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sizes(_Part):
    """Sides in pixels; `ratio` is the most that one may be of the other."""

    smallest: int = Field(ge=1)
    longest: int = Field(ge=1)
    multiple_of: int = Field(1, ge=1)
    ratio: float | None = None
    most_pixels: int | None = None


class PerImage(_Part):
    """US dollars a picture. `images_per_job` are made and paid together, however few are wanted."""

    kind: Literal["per_image"]
    usd: dict[Quality, Usd]
    svg: dict[Quality, Usd] = Field(default_factory=dict)
    images_per_job: int = Field(1, ge=1)


class PerToken(_Part):
    """US dollars a million tokens; `tokens` that a picture of 1024 × 1024 takes, for the estimate."""

    kind: Literal["per_token"]
    text_in: Usd
    image_in: Usd
    text_out: Usd = 0.0
    image_out: Usd = 0.0
    tokens: dict[Quality, int]


class Gpu(_Part):
    """Our own server: US dollars an hour, and pictures of 1024 × 1024 that it makes in one."""

    kind: Literal["gpu"]
    usd_per_hour: Usd
    images_per_hour: float = Field(gt=0)


class NoPrice(_Part):
    """Nothing that anybody bills."""

    kind: Literal["none"]


Price = Annotated[PerImage | PerToken | Gpu | NoPrice, Field(discriminator="kind")]


class Prior(_Part):
    """How good its pictures are taken to be, 0 to 1, before any were judged here."""

    quality: float = Field(ge=0, le=1)
    by_content_type: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)


class Model(_Part):
    """One model. `disabled` says why it is not used unless somebody decides so; `retires` is the first day without it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    provider: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]
    adapter: str
    model: str = ""
    aliases: tuple[str, ...] = ()
    description: str = ""
    url: str | None = None
    url_variable: str | None = None
    key_variable: str | None = None
    key_optional: bool = False
    disabled: str | None = None
    content_types: tuple[str, ...]
    sizes: Sizes
    formats: tuple[Format, ...]
    supports: tuple[Capability, ...] = ()
    most_images: int = Field(1, ge=1)
    most_references: int = Field(0, ge=0)
    most_prompt: int = Field(4000, ge=1)
    price: Price
    prior: Prior
    seconds: float = Field(gt=0, description="usual time of one picture, before any was measured here")
    parallel: int = Field(1, ge=1)
    available: date | None = None
    retires: date | None = None
    replacement: str | None = None
    options: dict[str, Any] = Field(default_factory=dict, description="What the adapter alone understands")

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.available and self.retires and self.retires <= self.available:
            raise ValueError(f"retires ({self.retires}) must be after available ({self.available})")
        return self

    def retired(self, day: date) -> bool:
        return self.retires is not None and day >= self.retires


@dataclass(frozen=True)
class Found:
    """A model that a name led to; `note` says how, where the name was not its own."""

    model: Model
    note: str | None = None


@dataclass(frozen=True)
class Registry:
    """All models, in the order in which they are written."""

    models: tuple[Model, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Model]:
        return {model.id: model for model in self.models}

    def named(self, name: str, day: date) -> list[Found]:
        """The models that a provider's name, an alias or a model's id leads to; of a retired one its living replacement.

        Raises RegistryError where nothing has this name, and tells those that there are.
        """
        asked = [m for m in self.models if name in (m.provider, m.id) or name in m.aliases]
        if not asked:
            known = sorted({m.provider for m in self.models} | {a for m in self.models for a in m.aliases})
            raise RegistryError(f"there is no provider {name!r}; there are {', '.join(known)}")
        found: dict[str, Found] = {}
        for model in asked:
            living = self._living(model, day)
            if model.id == name and living is not model:
                note = f"{name} was retired on {model.retires}; {living.id} stands for it"
            elif name in model.aliases:
                note = f"{name} is answered by {living.model or living.id}"
            else:
                note = None
            if living is model or model.id == name or name in model.aliases:
                found.setdefault(living.id, Found(living, note))
        return list(found.values()) or [Found(model) for model in asked]

    def _living(self, model: Model, day: date) -> Model:
        seen = {model.id}
        while model.retired(day) and model.replacement and model.replacement not in seen:
            model = self.by_id[model.replacement]
            seen.add(model.id)
        return model


def read_registry(home: Path | None = None) -> Registry:
    """The project's registry, with the installation's changes. Raises RegistryError with all that is wrong."""
    said = yaml.safe_load(resources.files("resources.images").joinpath("registry.yaml").read_text(encoding="utf-8"))
    entries = {entry["id"]: entry for entry in said["models"]}
    file = home / OVERRIDES if home else None
    if file is not None and file.is_file():
        for entry in _changes(file):
            entries[entry["id"]] = {**entries.get(entry["id"], {}), **entry}
    return _checked(entries.values(), str(file) if file and file.is_file() else "registry.yaml")


def _changes(file: Path) -> list[dict[str, Any]]:
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RegistryError(f"{file} cannot be read as YAML: {error}. Mend it or delete it.") from error
    entries = said.get("models") if isinstance(said, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), str) for e in entries):
        raise RegistryError(f"{file}: write a list under `models`, each entry with its `id`")
    return entries


def _checked(entries: Iterable[dict[str, Any]], where: str) -> Registry:
    models, faults = [], []
    for entry in entries:
        try:
            models.append(Model.model_validate(entry))
        except ValidationError as error:
            faults += [
                f"  {entry.get('id')}: {'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors()
            ]
    ids = {model.id for model in models}
    faults += [
        f"  {model.id}: replacement {model.replacement!r} is no model's id; name one that is here"
        for model in models
        if model.replacement and model.replacement not in ids
    ]
    faults += _ambiguous(models)
    if faults:
        raise RegistryError("\n".join([f"{where} cannot be used:", *faults]))
    return Registry(tuple(models))


def _ambiguous(models: list[Model]) -> list[str]:
    """A name must lead to one thing: an alias is no other model's alias and nobody's id."""
    faults, owners, ids = [], {}, {model.id for model in models}
    for model in models:
        for alias in model.aliases:
            owner = owners.setdefault(alias, model.id)
            if owner != model.id:
                faults.append(f"  {model.id}: the alias {alias!r} is {owner}'s, too; take it from one of them")
            if alias in ids - {model.id}:
                faults.append(f"  {model.id}: the alias {alias!r} is the id of another model")
    return faults
