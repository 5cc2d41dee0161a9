"""The lake: every asset is Parquet files under one root, local or `s3://`, read by Polars and DuckDB.

Belongs here: where an asset's files lie, writing them so that no half file is ever seen, and SQL over all of them.
Does not belong here: what an asset contains.

Layout: `<root>/<brand>/<asset>/<partition>.parquet`, `all.parquet` for an asset without partitions.
"""

import io
import os
import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import polars as pl

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNPARTITIONED = "all"
SUFFIX = ".parquet"


class MissingAsset(Exception):
    """Nothing has been materialized there yet; the message says how to."""


@dataclass(frozen=True)
class Lake:
    """One brand's part of the lake."""

    root: str
    brand: str

    @cached_property
    def filesystem(self) -> Any:
        import fsspec

        if self.is_local:
            return fsspec.filesystem("file")
        # What other processes write must be seen, so nothing that was listed is remembered.
        return fsspec.filesystem(self.root.split("://", 1)[0], use_listings_cache=False)

    @property
    def is_local(self) -> bool:
        return "://" not in self.root or self.root.startswith("file://")

    def folder(self, asset: str) -> str:
        """Path of an asset's folder, without the protocol."""
        base = self.root.split("://", 1)[1] if "://" in self.root else str(Path(self.root).absolute())
        return f"{base}/{self.brand}/{asset}"

    def path(self, asset: str, partition: str = UNPARTITIONED) -> str:
        """Path of one file. Characters of a partition key that are unsafe in a name are percent-encoded."""
        return f"{self.folder(asset)}/{quote(partition, safe=' -_.+')}{SUFFIX}"

    def write(self, asset: str, frame: pl.DataFrame, partition: str = UNPARTITIONED) -> str:
        """Replace one file at once and whole: a killed writer leaves the old one. Returns its path.

        An asset that was not cut before, and is now, loses the file of before: its rows would count twice.
        """
        path = self._written(asset, frame, partition)
        whole = self.path(asset, UNPARTITIONED)
        if partition != UNPARTITIONED and self.filesystem.exists(whole):
            self.filesystem.rm_file(whole)
        return path

    def _written(self, asset: str, frame: pl.DataFrame, partition: str) -> str:
        path = self.path(asset, partition)
        if not self.is_local:
            # An object store shows an object only when all of it has arrived.
            buffer = io.BytesIO()
            frame.write_parquet(buffer, compression="zstd")
            self.filesystem.pipe_file(path, buffer.getvalue())
            return path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        try:
            frame.write_parquet(temporary, compression="zstd")
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return path

    def partitions(self, asset: str) -> list[str]:
        """Keys that are there, in order; `all` alone for an asset without partitions."""
        try:
            names = self.filesystem.ls(self.folder(asset), detail=False)
        except FileNotFoundError:
            return []
        stems = (os.path.basename(str(name)) for name in names)
        return sorted(unquote(name.removesuffix(SUFFIX)) for name in stems if name.endswith(SUFFIX))

    def scan(self, asset: str, partitions: Iterable[str] | None = None) -> pl.LazyFrame:
        """The rows of an asset, of all partitions or of those named that exist. Raises MissingAsset when there are none."""
        present = self.partitions(asset)
        wanted = present if partitions is None else sorted(set(partitions) & set(present))
        if not wanted:
            raise MissingAsset(
                f"the asset {asset!r} of brand {self.brand!r} has not been materialized. Run `luxauto refresh`."
            )
        # Whoever opens a path more than once may find it replaced in between; bytes stay what they are.
        sources: Any = [io.BytesIO(self._content(self.path(asset, key))) for key in wanted]
        columns: dict[str, Any] = {}
        for source in sources:
            columns |= pl.read_parquet_schema(source)
        return pl.scan_parquet(sources, schema=columns, missing_columns="insert")

    def read(self, asset: str, partitions: Iterable[str] | None = None) -> pl.DataFrame:
        """Like `scan`, read."""
        return self.scan(asset, partitions).collect()

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Rows of a DuckDB query in which each materialized asset is a view of its name.

        Raises MissingAsset when the query asks for a table that is not there.
        """
        import duckdb

        with self.connect(set(re.findall(r"\w+", query))) as connection:
            try:
                return connection.sql(query, params=list(parameters) or None).pl()
            except duckdb.CatalogException as error:
                found = re.search(r"Table with name (\w+)", str(error))
                what = f"the asset {found[1]!r}" if found else str(error).splitlines()[0]
                raise MissingAsset(
                    f"{what} of brand {self.brand!r} has not been materialized. Run `luxauto refresh`."
                ) from error

    def connect(self, assets: Iterable[str] | None = None) -> "DuckDBPyConnection":
        """A DuckDB in memory with a view for each materialized asset, or for those of `assets` that are.

        The views show the files as they were at this moment, whatever is written meanwhile.
        """
        import duckdb

        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for asset in self.assets() if assets is None else sorted(set(assets) & set(self.assets())):
            # The folder of an asset whose first write was killed holds nothing yet.
            with suppress(MissingAsset):
                connection.register(asset, self.scan(asset))
        return connection

    def assets(self) -> list[str]:
        """Names of the assets that have been materialized."""
        try:
            entries = self.filesystem.ls(os.path.dirname(self.folder("x")), detail=True)
        except FileNotFoundError:
            return []
        names = (os.path.basename(str(e["name"]).rstrip("/")) for e in entries if e["type"] == "directory")
        return sorted(name for name in names if not name.startswith("_"))

    def _content(self, path: str) -> bytes:
        return Path(path).read_bytes() if self.is_local else self.filesystem.cat_file(path)
