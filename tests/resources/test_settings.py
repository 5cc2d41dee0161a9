"""The settings of an installation: where each comes from, and what a wrong one says."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from resources.settings import BrandSettings, SettingsError, load_settings, normalise_database_url, save_brand

SAVE = """
import sys
from resources.settings import BrandSettings, load_settings, save_brand
print("ready", flush=True)
sys.stdin.read(1)
for n in range(5):
    save_brand(load_settings(), f"brand-{sys.argv[1]}-{n}", BrandSettings(name=sys.argv[1]))
"""


def write(home: Path, text: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "luxauto.yaml").write_text(text, encoding="utf-8")


def test_an_empty_installation_has_defaults(home: Path) -> None:
    found = load_settings()
    assert found.home == home
    assert found.brand == "maison"
    assert found.database_url == f"sqlite:///{home / 'store.db'}"
    assert found.lake_url == str(home / "lake")
    assert (found.current.base_currency, found.current.timezone) == ("EUR", "Europe/Paris")
    assert not home.exists()


def test_a_variable_goes_before_the_file_and_the_file_before_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "brand: from-file\nautomation: true\n")
    assert load_settings().brand == "from-file"
    monkeypatch.setenv("LUXAUTO_BRAND", "from-variable")
    assert load_settings().brand == "from-variable"
    assert load_settings(brand="from-caller").brand == "from-caller"
    assert load_settings().automation


def test_an_empty_variable_counts_as_not_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUXAUTO_BRAND", "")
    assert load_settings().brand == "maison"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_postgresql_url_names_its_driver(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u@h/db")
    assert load_settings().database_url == "postgresql+psycopg2://u@h/db"
    assert normalise_database_url("postgresql+psycopg2://u@h/db") == "postgresql+psycopg2://u@h/db"


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("LUXAUTO_BRAND", "Not A Slug", "brand"),
        ("LUXAUTO_BRAND", "../escape", "brand"),
        ("LUXAUTO_AUTOMATION", "perhaps", "automation"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert all(text in str(raised.value) for text in (variable, value, field))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("brands: {maison: {timezone: Mars/Olympus}}", "brands.maison.timezone"),
        ("brands: {maison: {base_currency: euro}}", "brands.maison.base_currency"),
        ("brands: {maison: {colour: red}}", "brands.maison.colour"),
        ("brands: [maison]", "brands"),
        ("brands:", "brands"),
        ("unknown: 1", "unknown"),
        ("1: 2", "1"),
        ("- a list", "mapping of settings"),
        ("just text", "mapping of settings"),
        ("brand: [unclosed", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_the_field(home: Path, text: str, named: str) -> None:
    write(home, text)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert named in str(raised.value)
    assert str(home / "luxauto.yaml") in str(raised.value)


def test_a_file_in_another_encoding_is_no_traceback(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "luxauto.yaml").write_bytes("brands: {maison: {name: Élan}}".encode("cp1252"))
    with pytest.raises(SettingsError, match=r"luxauto\.yaml"):
        load_settings()


def test_a_saved_brand_keeps_what_else_the_file_says(home: Path) -> None:
    write(home, "automation: true\nbrands: {first: {name: First}}\n")
    saved = save_brand(load_settings(), "second", BrandSettings(name="Maison Élan", books_start=date(2009, 12, 1)))
    assert saved.automation
    assert saved.brands["first"].name == "First"
    assert saved.brands["second"] == BrandSettings(name="Maison Élan", books_start=date(2009, 12, 1))
    assert "Maison Élan" in (home / "luxauto.yaml").read_text(encoding="utf-8")


def test_the_first_brand_of_an_installation_becomes_its_own(home: Path) -> None:
    save_brand(load_settings(brand="aurore"), "aurore", BrandSettings())
    save_brand(load_settings(brand="second"), "second", BrandSettings())
    assert load_settings().brand == "aurore"


def test_saving_leaves_no_temporary_file(home: Path) -> None:
    save_brand(load_settings(), "maison", BrandSettings())
    assert [path.name for path in home.iterdir() if path.suffix == ".tmp"] == []


def test_processes_that_save_at_once_keep_each_others_brands(home: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVE, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    found = yaml.safe_load((home / "luxauto.yaml").read_text(encoding="utf-8"))
    assert len(found["brands"]) == 20
