"""The lake: whole files only, whoever writes, reads or dies meanwhile; local and on an S3 server of its own on loopback.

Does not belong here: Dagster's IO manager, and what any asset contains.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from resources.lake import Lake, MissingAsset

WRITE_AND_TELL = """
import sys
import polars as pl
from resources.lake import Lake
rows = int(sys.argv[2])
frame = pl.select(n=pl.int_range(rows), text=pl.int_range(rows).hash().cast(pl.String))
print("ready", flush=True)
while True:
    Lake(sys.argv[1], "maison").write("sales", frame)
"""
WRITE_25 = """
import sys
import polars as pl
from resources.lake import Lake
lake, writer = Lake(sys.argv[1], "maison"), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.read(1)
for turn in range(25):
    rows = 200 + 37 * turn
    lake.write("sales", pl.select(n=pl.repeat(rows, rows), text=pl.int_range(rows).hash().cast(pl.String)), str(turn % 3))
"""
WRITE_ONE = """
import sys
import polars as pl
from resources.lake import Lake
Lake(sys.argv[1], "maison").write("sales", pl.DataFrame({"n": [2]}), "2")
"""
ODD_KEYS = [
    "2025-03-01",
    "a/b",
    "..",
    "../up",
    "50%",
    "a b",
    "ünï",
    "*",
    "[x]",
    "{y}",
    "a'b",
    'a"b',
    "?",
    "#",
    "a\\b",
    "a.parquet",
]


def frame(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"n": numbers}, schema={"n": pl.Int64})


@pytest.fixture
def local(tmp_path: Path) -> Lake:
    """A lake in a folder."""
    return Lake(str(tmp_path / "lake"), "maison")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """An S3 server on a free loopback port; gives its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def remote(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Lake:
    """A lake in a bucket of its own."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"lake-{abs(hash(request.node.nodeid)):x}"
    lake = Lake(f"s3://{bucket}/data", "maison")
    lake.filesystem.mkdir(bucket)
    return lake


@pytest.fixture(params=["local", "remote"])
def lake(request: pytest.FixtureRequest) -> Lake:
    """A lake in a folder and one in a bucket."""
    return request.getfixturevalue(request.param)


def test_what_was_written_is_read(lake: Lake) -> None:
    lake.write("sales", frame(1, 2))
    assert lake.read("sales").rows() == [(1,), (2,)]
    lake.write("sales", frame(3))
    assert lake.read("sales").rows() == [(3,)]
    assert lake.partitions("sales") == ["all"]
    assert lake.assets() == ["sales"]


def test_partitions_are_read_one_by_one_or_together(lake: Lake) -> None:
    for day in (2, 1, 3):
        lake.write("sales", frame(day), f"2025-03-0{day}")
    assert lake.partitions("sales") == ["2025-03-01", "2025-03-02", "2025-03-03"]
    assert lake.read("sales")["n"].to_list() == [1, 2, 3]
    assert lake.read("sales", ["2025-03-03", "2025-03-01", "2025-04-01"])["n"].to_list() == [1, 3]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_column_that_only_some_partitions_have_is_empty_in_the_others(lake: Lake, order: tuple[int, int]) -> None:
    frames = [frame(1), pl.DataFrame({"n": [2], "new": ["x"]})]
    for key, which in enumerate(order):
        lake.write("sales", frames[which], str(key))
    expected = {(1, None), (2, "x")}
    assert set(lake.read("sales").select("n", "new").rows()) == expected
    assert set(lake.sql("SELECT n, new FROM sales").rows()) == expected


def test_a_partition_may_have_any_name(local: Lake) -> None:
    for number, key in enumerate(ODD_KEYS):
        local.write("sales", frame(number), key)
    assert local.partitions("sales") == sorted(ODD_KEYS)
    for number, key in enumerate(ODD_KEYS):
        assert local.read("sales", [key])["n"].to_list() == [number]
    assert local.sql("SELECT count(*) AS c FROM sales")["c"].to_list() == [len(ODD_KEYS)]
    assert all(Path(local.path("sales", key)).parent == Path(local.folder("sales")) for key in ODD_KEYS)


def test_a_partition_in_a_bucket_may_have_an_odd_name(remote: Lake) -> None:
    for number, key in enumerate(["a/b", "50%", "a b", "ünï"]):
        remote.write("sales", frame(number), key)
    assert remote.partitions("sales") == sorted(["a/b", "50%", "a b", "ünï"])
    assert remote.read("sales", ["50%"])["n"].to_list() == [1]


def test_sql_sees_every_asset_as_a_view_of_its_name(lake: Lake) -> None:
    lake.write("sales", pl.DataFrame({"sku": ["A", "B", "A"], "units": [1, 2, 3]}), "1")
    lake.write("skus_2025", pl.DataFrame({"sku": ["A", "B"], "name": ["Sac", "Ceinture"]}))
    query = "SELECT name, units FROM sales JOIN skus_2025 USING (sku) WHERE units > ? ORDER BY name"
    assert lake.sql(query, [1]).rows() == [("Ceinture", 2), ("Sac", 3)]
    assert lake.connect().sql("SELECT count(*) FROM sales").fetchall() == [(3,)]


def test_sql_gives_instants_in_utc(local: Lake) -> None:
    at = pl.Series("at", ["2025-03-01T10:00:00Z"]).str.to_datetime(time_zone="UTC")
    local.write("sales", pl.DataFrame({"moment": at}))
    assert local.sql("SELECT strftime(moment, '%H:%M') AS t FROM sales")["t"].to_list() == ["10:00"]


def test_an_asset_that_was_never_made_says_how_to_make_it(lake: Lake) -> None:
    assert lake.partitions("sales") == []
    assert lake.assets() == []
    for ask in (lambda: lake.read("sales"), lambda: lake.sql("SELECT * FROM sales")):
        with pytest.raises(MissingAsset, match="sales") as raised:
            ask()
        assert "luxauto refresh" in str(raised.value)
    lake.write("sales", frame(1), "2025-03-01")
    with pytest.raises(MissingAsset, match="luxauto refresh"):
        lake.read("sales", ["2025-03-02"])


def test_two_brands_have_lakes_apart(lake: Lake) -> None:
    other = Lake(lake.root, "second")
    lake.write("sales", frame(1))
    other.write("sales", frame(2))
    assert lake.read("sales")["n"].to_list() == [1]
    assert other.sql("SELECT n FROM sales")["n"].to_list() == [2]


def test_what_another_process_writes_to_a_bucket_is_seen(remote: Lake) -> None:
    remote.write("sales", frame(1), "1")
    assert remote.partitions("sales") == ["1"]
    subprocess.run([sys.executable, "-c", WRITE_ONE, remote.root], check=True)
    assert remote.partitions("sales") == ["1", "2"]
    assert remote.sql("SELECT sum(n)::INT AS n FROM sales")["n"].to_list() == [3]


def test_a_killed_writer_leaves_the_old_file_whole(local: Lake) -> None:
    local.write("sales", frame(1))
    kills_in_the_middle = 0
    for rows in range(400_000, 600_000, 100_000):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_AND_TELL, local.root, str(rows)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        folder = Path(local.folder("sales"))
        while not list(folder.glob("*.tmp")):
            assert writer.poll() is None
        writer.kill()
        writer.wait()
        leftovers = list(folder.glob("*.tmp"))
        kills_in_the_middle += bool(leftovers)
        assert local.partitions("sales") == ["all"]
        assert local.read("sales").height in {1, *range(400_000, 600_000, 100_000)}
        assert local.sql("SELECT count(n) AS c FROM sales")["c"][0] == local.read("sales").height
        for leftover in leftovers:
            leftover.unlink()
    assert kills_in_the_middle


def test_an_asset_whose_first_write_was_killed_does_not_exist(local: Lake) -> None:
    local.write("skus", frame(1))
    folder = Path(local.folder("sales"))
    folder.mkdir()
    (folder / "all.parquet.0123.tmp").write_bytes(b"PAR1 half")
    with pytest.raises(MissingAsset, match="sales"):
        local.read("sales")
    with pytest.raises(MissingAsset, match="sales"):
        local.sql("SELECT * FROM sales")
    assert local.connect().sql("SELECT n FROM skus").fetchall() == [(1,)]


def test_readers_of_files_that_four_processes_replace_never_fail(local: Lake) -> None:
    local.write("sales", frame(1).with_columns(text=pl.lit("x")), "0")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_25, local.root, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("g")
        writer.stdin.flush()
    reads = 0
    query = "SELECT n, count(*)::INT AS c, count(text)::INT AS t FROM sales GROUP BY n"
    while reads < 3 or any(writer.poll() is None for writer in writers):
        # Every file says in each row how many rows it has, so a file of two writers would be found out.
        by_polars = (
            local.scan("sales").group_by("n").agg(pl.len().alias("c"), pl.col("text").count().alias("t")).collect()
        )
        for rows in (by_polars, local.sql(query)):
            assert all(count % n == 0 and text == count for n, count, text in rows.iter_rows()), rows
        reads += 1
    assert [writer.wait() for writer in writers] == [0] * 4, [writer.communicate()[1] for writer in writers]
    assert list(Path(local.folder("sales")).glob("*.tmp")) == []
    assert sorted(local.read("sales")["n"].unique()) == [200 + 37 * turn for turn in (22, 23, 24)]


def test_a_reader_keeps_what_it_saw_when_the_file_is_replaced(local: Lake) -> None:
    local.write("sales", frame(*range(1000)))
    lazy, connection = local.scan("sales"), local.connect()
    local.write("sales", frame(1))
    assert lazy.collect().height == 1000
    assert connection.sql("SELECT count(n) FROM sales").fetchall() == [(1000,)]


def test_a_write_that_fails_leaves_no_file(local: Lake) -> None:
    local.write("sales", frame(1))
    with pytest.raises(pl.exceptions.PolarsError):
        local.write("sales", pl.DataFrame({"x": [object()]}))
    assert local.read("sales")["n"].to_list() == [1]
    assert [path.name for path in Path(local.folder("sales")).iterdir()] == ["all.parquet"]
