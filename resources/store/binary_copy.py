"""Frames in the binary format of PostgreSQL's COPY, of which the server takes a row in two thirds of a CSV's time.

Belongs here: the bytes, and how they reach the server. Does not belong here: which rows go where.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute
from polars import selectors as cs

# Its functions are made when it is imported, which Pyright does not see.
_arrow: Any = pyarrow.compute
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_INTEGERS: dict[int, pl.DataType] = {1: pl.Int8(), 2: pl.Int16(), 4: pl.Int32(), 8: pl.Int64()}
_DAYS_TO_2000 = 10_957
_MICROS_TO_2000 = _DAYS_TO_2000 * 86_400 * 10**6


def copy_binary(cursor: Any, table: str, columns: str, chunks: Iterator[pl.DataFrame]) -> None:
    """COPY chunks of text, integers, booleans, days and instants into `columns` of `table`.

    Raises the driver's IntegrityError when a row breaks a constraint, its QueryCanceled when a number does not fit.
    """
    cursor.execute(f'SELECT {columns} FROM "{table}" LIMIT 0')
    sizes = [column.internal_size for column in cursor.description]
    cursor.copy_expert(f'COPY "{table}" ({columns}) FROM STDIN (FORMAT binary)', _Reader(_payload(chunks, sizes)))


class _Reader:
    """The file that the driver wants; it takes whatever length a read gives."""

    def __init__(self, payload: Iterator[bytes]) -> None:
        self._payload = payload

    def read(self, _size: int) -> bytes:
        return next(self._payload, b"")


def _payload(chunks: Iterator[pl.DataFrame], sizes: list[int]) -> Iterator[bytes]:
    yield _HEADER
    encoded = (_encode(chunk, sizes) for chunk in chunks)
    # One chunk is encoded while the server takes the one before.
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = ahead.submit(next, encoded, None)
        while (rows := coming.result()) is not None:
            coming = ahead.submit(next, encoded, None)
            yield rows
    yield _TRAILER


def _encode(chunk: pl.DataFrame, sizes: list[int]) -> bytes:
    """Every row: the number of its columns, then for each its length and its value, in network order; null is a length of -1.

    Neighbours of fixed width are laid out as one record; the rest is joined row by row.
    """
    chunk = chunk.with_columns(cs.datetime().dt.epoch("us") - _MICROS_TO_2000, cs.date().dt.epoch("d") - _DAYS_TO_2000)
    pieces: list[Any] = []
    record: list[tuple[str, Any]] = [(">i2", chunk.width)]
    for column, size in zip(chunk, sizes, strict=True):
        if column.dtype in (pl.String, pl.Null):
            lengths, values = _texts(column)
        elif column.null_count():
            lengths, values = _integers_or_nulls(column, size)
        else:
            record += [(">i4", size), (f">i{size}", column.cast(_INTEGERS[size]).to_numpy())]
            continue
        pieces += [_packed([*record, (">i4", lengths)], chunk.height), values]
        record = []
    separator = _packed([], chunk.height)
    pieces.append(_packed(record, chunk.height))
    joined = _arrow.binary_join_element_wise(*pieces, separator, null_handling="replace", null_replacement=b"")
    return joined.buffers()[2].to_pybytes()


def _texts(column: pl.Series) -> tuple[Any, Any]:
    text = column.cast(pl.String)
    return text.str.len_bytes().cast(pl.Int32).fill_null(-1).to_numpy(), text.cast(pl.Binary).to_arrow()


def _integers_or_nulls(column: pl.Series, size: int) -> tuple[Any, Any]:
    known = column.is_not_null().to_numpy()
    integers = column.cast(_INTEGERS[size]).fill_null(0).to_numpy()
    bitmap = pa.py_buffer(np.packbits(known, bitorder="little"))
    return np.where(known, size, -1), _packed([(f">i{size}", integers)], column.len(), bitmap)


def _packed(record: list[tuple[str, Any]], height: int, known: Any = None) -> Any:
    """Fields side by side, as one binary value a row; null where the bitmap `known` has no bit."""
    packed = np.empty(height, [(f"{index}", kind) for index, (kind, _) in enumerate(record)])
    for index, (_, value) in enumerate(record):
        packed[f"{index}"] = value
    width = pa.binary(packed.itemsize)
    return pa.Array.from_buffers(width, height, [known, pa.py_buffer(packed)]).cast(pa.large_binary())
