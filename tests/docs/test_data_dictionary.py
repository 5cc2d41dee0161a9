"""The documentation against the code: the generated page, links, commands, variables, the example map, the posting tables."""

import importlib.util
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from assets.finance.accounts import CHART, default_chart
from assets.finance.rules import account_of_kind, posting_rules
from assets.ingestion.mapping import Columns, LineKind, OrderMapping, parse_mapping, preset_names
from assets.ingestion.reference import columns_of
from assets.visuals.making import NUDITY, REROLLS
from luxauto_pipelines import exchange_rates
from luxauto_pipelines.cli import app
from luxauto_pipelines.gateway.configuration import GatewaySettings
from resources import settings
from resources.images.registry import read_registry
from resources.store.models import Base
from resources.vault import wrapping

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """Cells of the first table under a heading."""
    table = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    for line in re.findall(r"^\|(.*)\|$", table, re.MULTILINE)[2:]:
        yield [cell.strip() for cell in line.split("|")]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generator", ROOT / "docs" / "generate_data_dictionary.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_dictionary_is_what_the_code_says(generator: ModuleType):
    assert text("docs/data-dictionary.md") == generator.render(), "run python docs/generate_data_dictionary.py"


def test_the_dictionary_has_every_table_and_every_asset(generator: ModuleType):
    page = generator.render()

    assets = {key.to_user_string() for key in generator.defs.resolve_asset_graph().get_all_asset_keys()}
    assert set(re.findall(r"^### Table `(\w+)`$", page, re.MULTILINE)) == set(Base.metadata.tables)
    assert set(re.findall(r"^#### Asset `(\w+)`$", page, re.MULTILINE)) == assets


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_every_relative_link_leads_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"


def commands(page: str) -> Iterator[str]:
    """`luxauto …` as it stands in blocks of shell and in inline code."""
    for block in re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield from (line for line in block.splitlines() if line.startswith("luxauto "))
    yield from re.findall(r"`(luxauto [^`]+)`", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL))


def follow(words: Sequence[str]) -> None:
    """Walk a command through the parser's tree. Raises KeyError for a command or option that is not there."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if word.startswith("-"):
            options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            if word not in options | {"--help"}:
                raise KeyError(f"{command.name} has no {word}")
        elif hasattr(command, "commands"):
            command = command.commands[word]


@pages
def test_every_command_that_is_shown_exists(page: Path):
    for command in commands(page.read_text(encoding="utf-8")):
        follow([str(word) for word in shlex.split(command, comments=True)[1:]])


def test_a_command_that_does_not_exist_would_be_noticed():
    for wrong in ("ingest invoices", "refresh --everything", "frobnicate"):
        with pytest.raises(KeyError):
            follow(shlex.split(wrong))


def test_the_readme_shows_every_command():
    shown = set(commands(text("README.md")))

    root: Any = typer.main.get_command(app)
    for name in root.commands:
        assert any(command.split()[1] == name for command in shown), name


def test_the_readme_names_every_variable():
    named = {row[0].strip("`") for row in rows(text("README.md"), "Configuration")}

    of_their_own = {
        wrapping.KEY_VARIABLE,
        wrapping.OLD_KEYS_VARIABLE,
        wrapping.KMS_VARIABLE,
        exchange_rates.URL_VARIABLE,
    }
    assert named == {*settings._VARIABLES.values(), *of_their_own, "LUXAUTO_HOME", "DAGSTER_HOME"}


def test_the_readme_names_every_variable_of_pictures():
    named = {row[0].strip("`") for row in rows(text("README.md"), "Configuration of pictures")}
    models = read_registry().models
    of_models = {name for model in models for name in (model.key_variable, model.url_variable) if name}

    assert named == {*of_models, REROLLS, NUDITY}


def test_the_readme_names_every_variable_of_the_gateway():
    named = {row[0].strip("`") for row in rows(text("README.md"), "Configuration of the gateway")}
    own_names = {"environment": "LUXAUTO_ENV", "jwt_secret": "JWT_SECRET_KEY", "redis_url": "REDIS_URL"}
    fields = {own_names.get(name, f"LUXAUTO_{name.upper()}") for name in GatewaySettings.model_fields}

    assert named == {*fields, "LUXAUTO_OUTBOUND_ALLOW", "LUXAUTO_WEBHOOK_SECRET_<CHANNEL>"}


def test_the_example_of_a_map_is_one_and_names_every_column():
    (example,) = re.findall(r"```yaml\n(.*?)```", text("docs/ingest.md"), re.DOTALL)
    mapping = parse_mapping(example, "the example")

    assert mapping.columns.model_fields_set == set(Columns.model_fields)
    assert mapping.model_fields_set == set(OrderMapping.model_fields) - {"reshape"}


def test_the_table_of_fields_has_all_with_their_defaults():
    table = text("docs/ingest.md").split("| field | default | meaning |", 1)[1].split("\n\n", 1)[0]
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", table, re.MULTILINE))

    assert set(told) == set(OrderMapping.model_fields) - {"columns"}
    for name, default in told.items():
        value = OrderMapping.model_fields[name].default
        if default.startswith("`"):
            assert default.strip("`") == (str(value).lower() if isinstance(value, bool) else value)
        else:
            assert not value


def test_the_presets_are_all_told():
    assert {row[0].strip("`") for row in rows(text("docs/ingest.md"), "Presets")} == set(preset_names())


def test_each_kind_lands_where_the_pages_say():
    landing = {row[0].strip("`"): row[2] for row in rows(text("docs/ingest.md"), "Kinds of line")}

    assert set(landing) == set(LineKind.__args__)
    for kind, account in landing.items():
        booked = account_of_kind().get(kind)
        assert account.split(";")[0] == (booked.code if booked else "none")
    posted = {row[0]: row[1] for row in rows(text("docs/finance.md"), "Posting")}
    for kind, account in account_of_kind().items():
        assert posted.get(f"`{kind}`", posted.get(f"`{kind}`, quantity above zero")) == account.code


def test_the_chart_of_accounts_is_the_one_that_is_posted_to():
    told = [tuple(row) for row in rows(text("docs/finance.md"), "Chart of accounts")]

    assert told == [(account.code, account.name, account.type) for account in CHART]


def test_the_tables_of_events_and_movements_are_the_posting_rules():
    page, rules, chart = text("docs/finance.md"), posting_rules(), default_chart()
    code = {account.role: account.code for account in chart.accounts.values()}
    told = {row[0].strip("`"): row[1:] for row in rows(page, "Posting of events")}

    assert set(told) == set(rules.events)
    for name, (means, amounts, *sides) in told.items():
        rule = rules.events[name]
        assert (means, amounts) == (rule.means, ", ".join([*rule.amounts, *(f"[{other}]" for other in rule.may_have)]))
        for sign, side in zip((1, -1), sides, strict=True):
            assert side == "; ".join(f"{code[leg.role]} {leg.amount}" for leg in rule.legs if leg.sign == sign)
    moved = {row[0].strip("`"): row[1] for row in rows(page, "Posting of stock")}
    assert moved == {kind: code[role] for kind, role in rules.stock_movements.items()}


@pytest.mark.parametrize("kind", ["catalog", "stock", "rates"])
def test_the_columns_of_a_reference_file_are_all_told_and_the_needed_ones_bold(kind: Any):
    page = text("docs/ingest.md")
    paragraph = page.split(f"**{kind.capitalize()}**:", 1)[1].split(". ", 1)[0].split(".\n", 1)[0]
    columns = columns_of(kind)

    assert re.findall(r"`(\w+)`", paragraph) == list(columns)
    assert re.findall(r"\*\*`(\w+)`\*\*", paragraph) == [name for name, needed in columns.items() if needed]


def test_decisions_are_numbered_without_a_hole():
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs" / "decisions").glob("*.md"))]

    assert numbers == list(range(1, len(numbers) + 1))
