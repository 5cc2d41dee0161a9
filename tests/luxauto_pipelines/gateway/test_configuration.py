"""What the gateway refuses to start with."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from luxauto_pipelines.gateway.configuration import load_gateway_settings
from resources.settings import SettingsError
from resources.vault import Vault
from tests.conftest import ROOT
from tests.luxauto_pipelines.gateway.conftest import SECRET

REFUSED = {
    "no secret": ({}, "JWT_SECRET_KEY"),
    "an empty secret": ({"JWT_SECRET_KEY": ""}, "JWT_SECRET_KEY"),
    "a short secret": ({"JWT_SECRET_KEY": "Zx81-Qv7"}, "JWT_SECRET_KEY"),
    "a placeholder": ({"JWT_SECRET_KEY": "change-me-please-change-me-please-now"}, "JWT_SECRET_KEY"),
    "another placeholder": ({"JWT_SECRET_KEY": "your-secret-key-here-0123456789abcdef"}, "JWT_SECRET_KEY"),
    "one letter": ({"JWT_SECRET_KEY": "a" * 64}, "JWT_SECRET_KEY"),
    "a short second key": ({"LUXAUTO_JWT_KEYS": f"a:{SECRET},b:short"}, "JWT_SECRET_KEY"),
    "keys without ids": ({"LUXAUTO_JWT_KEYS": SECRET}, "LUXAUTO_JWT_KEYS"),
    "a key twice": ({"LUXAUTO_JWT_KEYS": f"a:{SECRET},a:{SECRET}"}, "LUXAUTO_JWT_KEYS"),
    "every origin": ({"JWT_SECRET_KEY": SECRET, "LUXAUTO_CORS_ORIGINS": "*"}, "LUXAUTO_CORS_ORIGINS"),
    "debug": ({"JWT_SECRET_KEY": SECRET, "LUXAUTO_DEBUG": "true"}, "LUXAUTO_DEBUG"),
    "a limit that is none": ({"JWT_SECRET_KEY": SECRET, "LUXAUTO_RATE_LIMIT": "often"}, "LUXAUTO_RATE_LIMIT"),
    "a ceiling below nothing": (
        {"JWT_SECRET_KEY": SECRET, "LUXAUTO_COST_CEILING_USD": "-1"},
        "LUXAUTO_COST_CEILING_USD",
    ),
}


@pytest.mark.parametrize(("variables", "named"), REFUSED.values(), ids=REFUSED)
def test_production_is_refused(variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUXAUTO_ENV", "production")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=named) as refused:
        load_gateway_settings()
    assert SECRET not in str(refused.value)


def test_production_starts_with_a_random_secret_and_listed_origins(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("LUXAUTO_ENV", "production")
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    monkeypatch.setenv("LUXAUTO_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = load_gateway_settings()
    assert settings.origins == ["https://a.example", "https://b.example"]
    assert settings.limit is not None
    assert settings.cost_ceiling_usd == Decimal(50)
    assert list(settings.keys(Vault(home)).values()) == [SECRET]
    assert SECRET not in repr(settings)


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUXAUTO_ENV", "prod")
    with pytest.raises(SettingsError, match="LUXAUTO_ENV"):
        load_gateway_settings()


def test_development_derives_the_same_secret_in_every_process(home: Path) -> None:
    home.mkdir(parents=True)
    first = load_gateway_settings().keys(Vault(home))
    asked = (
        "from pathlib import Path; from resources.vault import Vault;"
        "from luxauto_pipelines.gateway.configuration import load_gateway_settings;"
        f"print(load_gateway_settings().keys(Vault(Path({str(home)!r})))['development'])"
    )
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        said = subprocess.run(
            [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == first["development"]


def test_the_first_of_several_keys_signs(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("LUXAUTO_JWT_KEYS", f"march:{SECRET},february:{SECRET[::-1]}")
    assert list(load_gateway_settings().keys(Vault(home))) == ["march", "february"]
