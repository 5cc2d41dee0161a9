"""Reads the text in a picture with what is installed on this machine: Tesseract, or RapidOCR.

Belongs here: finding a reader. Does not belong here: judging what it read (`quality`).
"""

import importlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.visuals.quality import TextReader

_SECONDS = 60
# Tesseract's names of languages, for those that its packages may bring.
_LANGUAGES = {"en": "eng", "fr": "fra", "de": "deu", "it": "ita", "es": "spa", "el": "ell", "ja": "jpn", "pt": "por"}


def find_text_reader(language: str = "en") -> TextReader | None:
    """A function from a picture's bytes to what is read in it; None where no reader is installed."""
    program = shutil.which("tesseract")
    if program:
        return lambda content: _readings(program, content, language)
    try:
        engine: Any = importlib.import_module("rapidocr_onnxruntime").RapidOCR()
    except ImportError:
        return None
    return lambda content: [" ".join(line[1] for line in engine(content)[0] or ())]


def _readings(program: str, content: bytes, language: str) -> Iterator[str]:
    """What Tesseract reads as the picture is, and at twice its size, where it reads light and small type."""
    yield _tesseract(program, content, language)
    yield _tesseract(program, _enlarged(content), language)


def _enlarged(content: bytes) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as picture:
        grey = picture.convert("L")
    larger = grey.resize((2 * grey.width, 2 * grey.height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    ImageOps.autocontrast(larger, cutoff=1).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _tesseract(program: str, content: bytes, language: str) -> str:
    """What Tesseract reads, without its dictionaries' guesses of layout: text on a poster stands anywhere."""
    known = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=_SECONDS, check=True)
    name = _LANGUAGES.get(language.split("-")[0], "eng")
    languages = name if name in known.stdout.split() else "eng"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        file.write_bytes(content)
        command = [program, str(file), "-", "-l", languages, "--psm", "11"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    return done.stdout
