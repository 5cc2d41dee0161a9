"""A trained model as one file: a ZIP with JSON, LightGBM's text and Parquet. Nothing in it is ever executed.

Belongs here: writing, reading and what is refused. Does not belong here: what a model is (`supervised`).
"""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from datetime import datetime
from typing import Any

import polars as pl

from assets.finance.fraud.calibration import Costs, Platt, Threshold
from assets.finance.fraud.drift import Reference
from assets.finance.fraud.evaluation import Figures
from assets.finance.fraud.supervised import Model

FORMAT = "luxauto-fraud-model"
VERSION = 1
_METADATA, _BOOSTER, _HISTORY = "metadata.json", "model.txt", "history.parquet"
_LARGEST = 2_000_000_000
_PLAIN = ("features", "columns", "rows", "frauds", "calibration_error", "versions")


class ModelFileError(Exception):
    """The file is no model that can be used; the message says what to do."""


def to_bytes(model: Model) -> bytes:
    """The file's content. The same model gives the same bytes."""
    parts = {_BOOSTER: model.booster.encode()}
    if model.history is not None:
        buffer = io.BytesIO()
        model.history.write_parquet(buffer, compression="zstd")
        parts[_HISTORY] = buffer.getvalue()
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(model, name) for name in _PLAIN},
        "calibration": asdict(model.calibration),
        "threshold": asdict(model.threshold),
        "costs": asdict(model.costs),
        "validation": asdict(model.validation),
        "until": model.until.isoformat(),
        "trained_at": model.trained_at.isoformat(),
        "references": {name: asdict(reference) for name, reference in model.references.items()},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()},
    }
    parts = {_METADATA: json.dumps(metadata, indent=1).encode(), **parts}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def from_bytes(content: bytes, name: str = "the model") -> Model:
    """Read what `to_bytes` wrote. Raises ModelFileError for anything else, and for a file that was damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if sum(info.file_size for info in file.infolist()) > _LARGEST:
                raise ModelFileError(f"{name} unpacks to more than {_LARGEST // 10**9} GB and is not read")
            parts = {info.filename: file.read(info) for info in file.infolist()}
        metadata = json.loads(parts[_METADATA])
        return _model(metadata, parts, name)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise ModelFileError(
            f"{name} is no fraud model of luxauto ({type(error).__name__}): make one with `luxauto fraud train`"
        ) from error


def _model(metadata: dict[str, Any], parts: dict[str, bytes], name: str) -> Model:
    if metadata["format"] != FORMAT:
        raise ValueError(metadata["format"])
    if metadata["version"] != VERSION:
        raise ModelFileError(
            f"{name} has version {metadata['version']} of the format and this program reads {VERSION}: train it again"
        )
    for part, digest in metadata["sha256"].items():
        if hashlib.sha256(parts[part]).hexdigest() != digest:
            raise ModelFileError(f"{name} is damaged: {part} is not what was written. Train it again, or copy it again")
    history = pl.read_parquet(io.BytesIO(parts[_HISTORY])) if _HISTORY in metadata["sha256"] else None
    return Model(
        booster=parts[_BOOSTER].decode(),
        features=tuple(metadata["features"]),
        columns=tuple(metadata["columns"]),
        calibration=Platt(**metadata["calibration"]),
        threshold=Threshold(**metadata["threshold"]),
        costs=Costs(**metadata["costs"]),
        validation=Figures(**metadata["validation"]),
        calibration_error=metadata["calibration_error"],
        until=datetime.fromisoformat(metadata["until"]),
        trained_at=datetime.fromisoformat(metadata["trained_at"]),
        rows=metadata["rows"],
        frauds=metadata["frauds"],
        references={n: Reference(tuple(r["edges"]), tuple(r["shares"])) for n, r in metadata["references"].items()},
        history=history,
        versions=metadata["versions"],
    )
