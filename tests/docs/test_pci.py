"""The page on PCI DSS names code and tests; each of them is there."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "pci.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / "tests" / file).is_file()
        or f"def {test}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_all_code_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:luxauto_pipelines|resources|assets)/[\w/]+\.py)`", PAGE)
    assert len(named) > 15
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_each_requirement_has_its_code_and_its_test() -> None:
    table = PAGE.split("## Requirements", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    assert [row for row in rows if len(row) != 4 or "`" not in row[2] or "::" not in row[3]] == []
