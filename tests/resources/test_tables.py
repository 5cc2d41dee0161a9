"""Reading somebody's file: whatever dialect it is in, its rows come out; what is damaged says what to do."""

import gzip
import io
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources import tables
from resources.tables import ROW_NUMBER, SourceTable, UnreadableTable, read_table

ROWS = [(1, "A1", "Sac Élan", "2"), (2, "B2", "Été", "3")]


def table(tmp_path: Path, content: bytes, name: str = "file.csv") -> SourceTable:
    path = tmp_path / name
    path.write_bytes(content)
    return read_table(path)


def csv_text(separator: str = ",") -> str:
    return "\n".join(separator.join(cells) for cells in (("code", "name", "units"), *(row[1:] for row in ROWS))) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_csv_is_read_in_every_dialect(tmp_path: Path, separator: str, encoding: str, line_end: str) -> None:
    found = table(tmp_path, csv_text(separator).replace("\n", line_end).encode(encoding))
    assert found.rows.columns == [ROW_NUMBER, "code", "name", "units"]
    assert found.rows.rows() == ROWS
    assert found.ragged.height == 0


def test_a_compressed_csv_is_read(tmp_path: Path) -> None:
    assert table(tmp_path, gzip.compress(csv_text().encode()), "FILE.CSV.GZ").rows.rows() == ROWS


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    frame = pl.DataFrame({"code": ["A1", "A1"], "units": [1, 2]}, schema={"code": pl.Categorical, "units": pl.Int16})
    frame.write_parquet(buffer)
    found = table(tmp_path, buffer.getvalue(), "file.parquet").rows
    assert found.schema == {ROW_NUMBER: pl.Int64, "code": pl.String, "units": pl.Int16}
    assert found.rows() == [(1, "A1", 1), (2, "A1", 2)]


def test_the_sheets_of_a_workbook_that_are_alike_are_read_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "years.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for name, rows in (("2009", [("A1", 1), ("B2", 2)]), ("2010", [("C3", 3)]), ("empty", []), ("notes", [("x",)])):
            sheet = book.add_worksheet(name)
            header = {"notes": ("remark",), "empty": ()}.get(name, ("code", "units"))
            for number, cells in enumerate([header, *rows]):
                sheet.write_row(number, 0, cells)
    assert read_table(path).rows.rows() == [(1, "A1", 1), (2, "B2", 2), (3, "C3", 3)]


def test_a_quoted_cell_may_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    found = table(tmp_path, b'code,name\r\nA1,"one, ""two"",\r\nthree"\r\nB2,plain\r\n')
    assert found.rows.rows() == [(1, "A1", 'one, "two",\r\nthree'), (2, "B2", "plain")]


def test_cells_of_a_csv_stay_text(tmp_path: Path) -> None:
    assert table(tmp_path, b"code,units\n00123,1e3\nNA,nan\n").rows.rows() == [(1, "00123", "1e3"), (2, "NA", "nan")]


@pytest.mark.parametrize("bad", ["4,5", "4,5,6,7", "4"])
def test_a_row_of_another_width_is_put_aside_whatever_its_neighbours_are(tmp_path: Path, bad: str) -> None:
    found = table(tmp_path, f"a,b,c\n1,2,3\n{bad}\n7,8,\n9,9,9\n".encode())
    assert found.rows.rows() == [(1, "1", "2", "3"), (3, "7", "8", None), (4, "9", "9", "9")]
    assert found.ragged.rows() == [(2, bad)]


def test_rows_without_content_are_counted_and_left_out(tmp_path: Path) -> None:
    good = table(tmp_path, b"a,b\n1,2\n\n,\n3,4\n\n")
    ragged = table(tmp_path, b"a,b\n1,2\n\n,\n3,4\n5,6,7\n")
    assert good.rows.rows() == ragged.rows.rows() == [(1, "1", "2"), (4, "3", "4")]
    assert ragged.ragged.rows() == [(5, "5,6,7")]


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    good, ragged = (table(tmp_path, f"a,a,b\n1,2,3\n{more}".encode()) for more in ("", "1,2,3,4\n"))
    assert good.rows.columns == ragged.rows.columns == [ROW_NUMBER, "a", "a_duplicated_0", "b"]


def test_a_file_may_have_a_row_number_of_its_own(tmp_path: Path) -> None:
    for more in (b"", b"9,9,9\n"):
        found = table(tmp_path, b"row_number,b\n7,8\n" + more)
        assert found.rows.rows() == [(1, "7", "8")]


def test_the_same_content_has_the_same_fingerprint(tmp_path: Path) -> None:
    first, second = table(tmp_path, b"a,b\n1,2\n", "x.csv"), table(tmp_path, b"a,b\n1,2\n", "y.csv")
    assert first.sha256 == second.sha256 != table(tmp_path, b"a,b\n1,3\n").sha256


def test_a_file_with_only_a_header_has_no_rows(tmp_path: Path) -> None:
    assert table(tmp_path, b"a,b\n").rows.height == 0


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"a": list(range(1000))}).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("empty.csv", b"", "Export it again"),
        ("blank.csv", b"\n\n", "Export it again"),
        ("empty.csv.gz", gzip.compress(b"", mtime=0), "Export it again"),
        ("plain.csv.gz", b"a,b\n1,2\n", "Export it again"),
        ("cut.csv.gz", gzip.compress(csv_text().encode(), mtime=0)[:-12], "Export it again"),
        ("broken.csv.gz", gzip.compress(csv_text().encode() * 99, mtime=0)[:40] + b"\xff" * 40, "Export it again"),
        ("text.parquet", b"a,b\n1,2\n", "Export it again"),
        ("empty.parquet", b"", "Export it again"),
        ("cut.parquet", parquet()[:-20], "Export it again"),
        ("broken.parquet", parquet()[:20] + b"\xff" * 60 + parquet()[80:], "Export it again"),
        ("text.xlsx", b"a,b\n1,2\n", "Export it again"),
        ("empty.xlsx", b"", "Export it again"),
        ("orders.pdf", b"%PDF", r"\.csv, \.csv\.gz, \.parquet, \.xlsx"),
        ("orders", b"a,b\n1,2\n", r"\.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_a_remedy(
    tmp_path: Path, name: str, content: bytes, remedy: str
) -> None:
    with pytest.raises(UnreadableTable, match=remedy) as raised:
        table(tmp_path, content, name)
    assert name in str(raised.value)


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_path_that_is_no_file_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableTable, match="Check the path"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("fault", [pl.exceptions.ColumnNotFoundError("x"), TypeError("x"), KeyError("x")])
def test_a_fault_of_ours_is_not_disguised_as_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def faulty(content: bytes) -> None:
        raise fault

    monkeypatch.setattr(tables, "_read_csv", faulty)
    with pytest.raises(type(fault)):
        table(tmp_path, b"a,b\n1,2\n")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), name=st.sampled_from(["x.csv", "x.csv.gz", "x.parquet", "x.xlsx"]))
def test_any_bytes_are_rows_or_an_unreadable_table(tmp_path: Path, content: bytes, name: str) -> None:
    try:
        found = table(tmp_path, content, name)
    except UnreadableTable:
        return
    assert found.rows[ROW_NUMBER].is_unique().all()
    assert not set(found.rows[ROW_NUMBER]) & set(found.ragged[ROW_NUMBER])
