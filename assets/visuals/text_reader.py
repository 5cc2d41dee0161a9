"""Reads the text in a picture with what is installed on this machine: Tesseract, or RapidOCR.

Belongs here: finding a reader. Does not belong here: judging what it read (`quality`).
"""

import importlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from assets.visuals.errors import VisualsError
from assets.visuals.quality import TextReader

_SECONDS = 60
# Tesseract's names of languages, for those that its packages may bring.
_LATIN = {"en": "eng", "fr": "fra", "de": "deu", "it": "ita", "es": "spa", "pt": "por"}
_OTHER_SCRIPTS = {
    "ar": "ara",
    "bg": "bul",
    "el": "ell",
    "he": "heb",
    "hi": "hin",
    "ja": "jpn",
    "ko": "kor",
    "ru": "rus",
    "th": "tha",
    "uk": "ukr",
    "zh": "chi_sim",
}


class CannotRead(VisualsError):
    """The reader here knows no letters of this language."""


def find_text_reader(language: str = "en") -> TextReader | None:
    """A function from a picture's bytes to what is read in it; None where no reader is installed.

    The function raises CannotRead for a language in letters that nobody taught it: it would read none of them.
    """
    program = shutil.which("tesseract")
    if program:
        return lambda content: _readings(program, content, language)
    try:
        engine: Any = importlib.import_module("rapidocr_onnxruntime").RapidOCR()
    except ImportError:
        return None
    return lambda content: [" ".join(line[1] for line in engine(content)[0] or ())]


def known_language(language: str, installed: Container[str]) -> str:
    """Tesseract's name of the language to read by, of those `installed`. Latin letters are read by the English ones, too.

    Raises CannotRead.
    """
    name = (_LATIN | _OTHER_SCRIPTS).get(language, "eng")
    if name in installed:
        return name
    if language in _OTHER_SCRIPTS:
        raise CannotRead(f"Tesseract has not learned {language!r}: install tesseract-ocr-{name.replace('_', '-')}")
    return "eng"


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
    languages = known_language(language.split("-")[0], known.stdout.split())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        file.write_bytes(content)
        command = [program, str(file), "-", "-l", languages, "--psm", "11"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    return done.stdout
