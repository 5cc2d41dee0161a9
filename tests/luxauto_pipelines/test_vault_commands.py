"""`luxauto vault` as a person runs it, and that no command takes a card number as an argument."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from luxauto_pipelines.cli_vault import app
from luxauto_pipelines.instance import reload
from resources.store.brand_store import BrandStore
from tests.byte_search import found_in
from tests.resources.store.test_key_ring import add_channel, add_customers, everything

LUXAUTO = Path(sys.executable).with_name("luxauto")
CARD = "5555 5555 5555 4444"


@pytest.fixture
def mine(home: Path, migrated_file: Path) -> BrandStore:
    """An installation on SQLite with clients and a channel as an earlier version kept them."""
    home.mkdir(parents=True)
    (home / "store.db").write_bytes(migrated_file.read_bytes())
    books = reload()
    add_customers(books, 3, sealed=False)
    add_channel(books)
    return books


def vault(*arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_the_state_says_when_a_rotation_has_something_to_do_and_when_not(mine: BrandStore) -> None:
    before = everything(mine)
    state = vault("status", code=2)
    assert (state["unsealed"], state["settled"], [key["rows"] for key in state["keys"]]) == (3, False, [1])
    done = vault("rotate")
    assert (done["resealed"], done["destroyed"], done["resumed"]) == (4, 1, False)
    state = vault("status")
    assert (state["unsealed"], state["settled"]) == (0, True)
    assert [(key["state"], key["rows"]) for key in state["keys"]] == [("destroyed", 0), ("active", 4)]
    assert everything(mine) == before


def test_a_client_is_revealed_for_a_reason_and_erased(mine: BrandStore) -> None:
    told = vault("reveal", "2", "--reason", "return 4711")
    assert told == {"customer": "2", "email": "client-2@example.com", "name": "Anna Lind 2", "phone": None}
    assert CliRunner().invoke(app, ["reveal", "2"]).exit_code == 2
    erased = CliRunner().invoke(app, ["erase", "2", "--reason", "asked to"])
    assert (erased.exit_code, erased.stdout) == (0, "Nothing is kept of who the client 2 is.\n")
    assert CliRunner().invoke(app, ["reveal", "2", "--reason", "again"]).exit_code == 1


def test_a_dry_run_of_the_purge_deletes_nothing(mine: BrandStore) -> None:
    before = everything(mine)
    assert vault("purge", "--dry-run")["dry_run"] is True
    assert vault("purge") == {"dry_run": False, "profiles": 0, "messages": 0, "answers": 0, "quarantine_files": 0}
    assert everything(mine) == before


def test_an_argument_with_a_card_number_is_refused_before_the_command_begins(home: Path) -> None:
    command = [str(LUXAUTO), "vault", "erase", "7", "--reason", f"paid with {CARD}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "argument 5 holds what looks like payment card data" in done.stderr.replace("\n", " ")
    assert "5555" not in done.stdout + done.stderr
    assert found_in([home], [CARD.replace(" ", "")]) == []
