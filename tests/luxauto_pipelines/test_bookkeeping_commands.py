"""`luxauto finance record, reverse, close, reopen, periods, rules, accounts, verify`, as a bookkeeper uses them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from luxauto_pipelines import cli
from resources.store.brand_store import BrandStore

RENT = ("record", "expense", "1200.00", "--of", "category=rent", "--of", "bank=main", "--on", "2026-03-10")


@pytest.fixture(autouse=True)
def _installation(books: BrandStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of the test is that of the commands."""
    books.settings.home.mkdir(parents=True, exist_ok=True)


def finance(*words: str) -> Any:
    """What the command prints, as JSON; the exit code must be 0."""
    done = CliRunner().invoke(cli.app, ["finance", *words, "--format", "json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def says(*words: str) -> str:
    done = CliRunner().invoke(cli.app, ["finance", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def refuses(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """The message of a command that fails."""
    monkeypatch.setattr("sys.argv", ["luxauto", "finance", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code in (1, 2)
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_an_expense_is_recorded_as_debits_and_credits() -> None:
    entry = finance(*RENT, "--note", "March", "--reference", "R-3")
    assert (entry["day"], entry["description"]) == ("2026-03-10", "March")
    legs = [(leg["account"], leg["debit"], leg["credit"], leg["currency"]) for leg in entry["postings"]]
    assert legs == [("6500.rent", 1200.0, None, "EUR"), ("1000.main", None, 1200.0, "EUR")]


def test_the_same_key_records_once() -> None:
    first = finance(*RENT, "--key", "rent-03")
    assert finance(*RENT, "--key", "rent-03") == first
    assert finance(*RENT)["entry"] != first["entry"]


def test_amounts_are_named_and_counted_in_their_currency() -> None:
    entry = finance(
        "record", "transfer", "amount=100.00", "into_amount=16137", "--currency", "usd", "--of", "from_bank=us",
        "--of", "into_bank=japan", "--of", "into_currency=JPY", "--on", "2026-03-10",
    )  # fmt: skip
    legs = {(leg["account"], leg["currency"]): leg["debit"] or -leg["credit"] for leg in entry["postings"]}
    assert legs == {
        ("1000.us", "USD"): -100.0,
        ("1900", "USD"): 100.0,
        ("1900", "JPY"): -16137,
        ("1000.japan", "JPY"): 16137,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("record", "expense", "12.345"), "more digits than EUR"),
        (("record", "expense", "1.5", "--currency", "JPY"), "more digits than JPY"),
        (("record", "expense", "much"), "no amount"),
        (("record", "expense", "5", "--currency", "EUX"), "not an ISO 4217 code"),
        (("record", "expense", "5", "--of", "category"), "NAME=VALUE"),
        (("record", "expense", "5", "--of", "colour=red"), "dimensions.colour"),
        (("record", "payout", "gross=100.00", "fee=3.00", "net=96.00"), "differ by 1.00 EUR"),
        (("record", "barter", "5"), "no posting rule"),
        (("record", "sale", "5"), "record it as an order"),
        (("reverse", "77", "--reason", "wrong"), "no entry 77"),
        (("close", "2026-13"), "no month"),
        (("close", "2999-01"), "not over"),
        (("reopen", "2026-01", "--reason", "x"), "2026-01 is open"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    assert said in refuses(capsys, monkeypatch, *words)


def test_an_entry_is_taken_back_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    number = finance(*RENT)["entry"]
    undone = finance("reverse", str(number), "--reason", "Paid twice", "--on", "2026-03-11")
    assert undone["description"] == "Paid twice"
    assert next((leg["account"], leg["credit"]) for leg in undone["postings"]) == ("6500.rent", 1200.0)
    assert finance("reverse", str(number), "--reason", "Paid twice", "--on", "2026-03-11") == undone


def test_a_month_is_closed_and_opened_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finance(*RENT)
    assert "2026-03 is closed" in says("close", "2026-03")
    assert "2026-03 is closed" in refuses(capsys, monkeypatch, *RENT)
    assert [(row["month"], row["status"]) for row in finance("periods")] == [("2026-03-01", "closed")]
    assert "2026-03 is open" in says("reopen", "2026-03", "--reason", "late invoice")
    finance(*RENT)
    assert "2 entries follow from one another" in says("verify")


def test_the_rules_and_the_chart_can_be_read(books: BrandStore) -> None:
    rules = {row["event"]: row for row in finance("rules")}
    assert rules["payout"]["debit"] == "bank: net; fees: fee"
    Path(books.settings.home, "chart.yaml").write_text('accounts: [{code: "4000", name: Ventes}]', encoding="utf-8")
    chart = {row["code"]: row for row in finance("accounts")}
    assert (chart["4000"]["name"], chart["4000"]["split by"]) == ("Ventes", "channel")


def test_a_chart_that_cannot_be_used_stops_the_command(
    books: BrandStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(books.settings.home, "chart.yaml").write_text('accounts: [{code: "4000", type: asset}]', encoding="utf-8")
    assert "4000 is revenue and stays so" in refuses(capsys, monkeypatch, *RENT)
