"""Where an installation lives and which brand it works for.

Belongs here: reading environment variables and `luxauto.yaml`, and the defaults. Does not belong here: opening what the
settings point at (`store`, `lake`), or any secret's value (`vault`).

Precedence: environment variable, then `$LUXAUTO_HOME/luxauto.yaml`, then the default.
"""

import fcntl
import os
import re
from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from resources.files import write_file

FILE_NAME = "luxauto.yaml"
DEFAULT_BRAND = "maison"


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and says what to do."""


class BrandSettings(BaseModel):
    """What one brand is called and how its books are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "Maison"
    base_currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    timezone: str = "Europe/Paris"
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="Country (ISO 3166) whose public holidays and sales periods the forecasts look at.",
    )
    books_start: date = Field(default=date(2020, 1, 1), description="First day of the daily partitions.")
    allocation: Literal["shared", "priority", "pro_rata"] = Field(
        default="shared",
        description="Who is shown stock that is scarce: every channel, the first one, or each its share.",
    )
    fx_carry_days: int = Field(
        default=7, ge=0, le=31, description="For how many days without a quotation an exchange rate is carried on."
    )
    scarce_at: int = Field(default=0, ge=0, description="Units at or below which a SKU is scarce.")
    costing: Literal["weighted_average", "fifo", "standard"] = Field(
        default="weighted_average",
        description="How stock is valued. Another method values what moves from then on.",
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not an IANA time zone such as Europe/Paris") from error
        return value


class Retention(BaseModel):
    """For how many days what names a person is kept. Afterwards `luxauto vault purge` and its schedule delete it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profiles_days: int = Field(default=1095, ge=1, description="Names and addresses after the client's last order.")
    messages_days: int = Field(default=30, ge=1, description="Bodies of channels' messages after they were worked on.")
    quarantine_days: int = Field(default=90, ge=1, description="Files of rows that could not be taken.")


class Settings(BaseModel):
    """One installation, seen from one brand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path
    database_url: str
    lake_url: str
    brand: str = Field(default=DEFAULT_BRAND, pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    automation: bool = Field(default=False, description="Schedules and sensors start switched on.")
    agents: tuple[str, ...] = Field(default=(), description="Modules with a list AGENTS of further agents.")
    retention: Retention = Field(default=Retention())
    brands: dict[str, BrandSettings] = Field(default_factory=dict)

    @property
    def current(self) -> BrandSettings:
        """The brand that this process works for."""
        return self.brands.get(self.brand, BrandSettings())

    @property
    def file(self) -> Path:
        return self.home / FILE_NAME

    @property
    def dagster_home(self) -> Path:
        return Path(os.environ.get("DAGSTER_HOME") or self.home / "dagster").absolute()


_VARIABLES = {
    "brand": "LUXAUTO_BRAND",
    "automation": "LUXAUTO_AUTOMATION",
    "lake_url": "LUXAUTO_LAKE_URL",
    "database_url": "DATABASE_URL",
}


def load_settings(**overrides: object) -> Settings:
    """Read the settings of this process.

    Raises SettingsError naming the field, its value and the remedy.
    """
    home = Path(os.environ.get("LUXAUTO_HOME") or ".luxauto").absolute()
    values: dict[str, object] = {
        "database_url": f"sqlite:///{home / 'store.db'}",
        "lake_url": str(home / "lake"),
    }
    values |= _read_file(home / FILE_NAME)
    values |= {field: os.environ[name] for field, name in _VARIABLES.items() if os.environ.get(name)}
    values |= {field: value for field, value in overrides.items() if value is not None}
    values["database_url"] = normalise_database_url(str(values["database_url"]))
    try:
        return Settings.model_validate({**values, "home": home})
    except ValidationError as error:
        raise SettingsError(_explain(error, home)) from error


def save_brand(settings: Settings, slug: str, brand: BrandSettings, **top_level: object) -> Settings:
    """Write one brand's settings into `luxauto.yaml`, keeping what else is there, and return the settings as now read."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / f".{FILE_NAME}.lock").open("w") as lock:
        # Several ingests may describe their brands at once, and each must keep what the others wrote.
        fcntl.flock(lock, fcntl.LOCK_EX)
        values = _read_file(settings.file)
        brands = values.setdefault("brands", {})
        assert isinstance(brands, dict)
        brands[slug] = brand.model_dump(mode="json")
        values.setdefault("brand", slug)
        values |= top_level
        write_file(settings.file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    return load_settings(brand=settings.brand)


def open_books(settings: Settings, day: date) -> None:
    """Have the daily partitions begin early enough for a day."""
    if day >= settings.current.books_start:
        return
    # Another process may have done so since these settings were read.
    settings = load_settings(brand=settings.brand)
    if day < settings.current.books_start:
        save_brand(settings, settings.brand, settings.current.model_copy(update={"books_start": day.replace(day=1)}))


def normalise_database_url(url: str) -> str:
    """Name the PostgreSQL driver, which SQLAlchemy 2.1 would otherwise take to be psycopg 3."""
    return re.sub(r"^(postgres|postgresql)://", "postgresql+psycopg2://", url)


def _read_file(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is not valid YAML: {error}. Mend it or delete it and run `luxauto init`."
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold a mapping of settings. Delete it and run `luxauto init`.")
    return values


def _explain(error: ValidationError, home: Path) -> str:
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        variable = _VARIABLES.get(field)
        where = f"the variable {variable} or {home / FILE_NAME}" if variable else str(home / FILE_NAME)
        lines.append(f"setting `{field}` = {problem['input']!r}: {problem['msg']}. Correct it in {where}.")
    return "\n".join(lines)
