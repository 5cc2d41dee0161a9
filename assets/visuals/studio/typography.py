"""What a language asks of its printer: quotation marks, apostrophes, dashes, and spaces that no line may end at.

Belongs here: characters. Does not belong here: where lines end (`text`).

Somebody who types a brief has one apostrophe and one quotation mark on the keyboard; a printed page has those of its language.
What was written with care, such as « », stays.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NARROW, _NO_BREAK = "\u202f", "\u00a0"
_QUOTES = {
    "en": ("“", "”"),
    "de": ("„", "“"),
    "fr": ("«" + _NARROW, _NARROW + "»"),
    "it": ("«", "»"),
    "es": ("«", "»"),
    "pt": ("«", "»"),
    "nl": ("“", "”"),
}
_TITLES = r"(?:No\.|Nr\.|N°|n°|Nº|n\.º|M\.|Mme|Mlle|Mr\.?|Mrs\.?|Ms\.?|Dr\.?|Sig\.|Sra?\.|St\.|Ste|S\.|p\.)"


def dressed(text: str, language: str) -> str:
    """The text with its language's quotation marks, apostrophes, dashes and unbreakable spaces."""
    short = language[:2]
    text = re.sub(r"\.{3}", "…", text)
    text = re.sub(r"(?<=\w)'(?=\w)", "’", text)
    text = re.sub(r"(?<=[sSxXzZ])'(?=\s|$)", "’", text)
    if (marks := _QUOTES.get(short)) is not None:
        text = re.sub(r'"([^"\n]+)"', lambda found: marks[0] + found[1].strip() + marks[1], text)
    text = re.sub(r"(?<=\d)-(?=\d{1,4}\b)(?<!\d-\d-)", "–", text) if _is_range(text) else text
    text = re.sub(r" -{1,2} ", f"{_NO_BREAK}– ", text)
    text = re.sub(rf"(?<!\w)({_TITLES}) (?=\w)", rf"\1{_NO_BREAK}", text)
    text = re.sub(r"(?<=\d) (?=(?:€|\$|£|%|cm|mm|kg|g|h)(?!\w))", _NO_BREAK, text)
    if (months := _months(short)) is not None:
        text = re.sub(rf"(?<=\d)(\.?) (?=(?:de )?(?:{months})(?!\w))", rf"\1{_NO_BREAK}", text, flags=re.IGNORECASE)
    return _french(text) if short == "fr" else text


def _french(text: str) -> str:
    """Thin spaces before what is two parts high, within quotation marks too."""
    text = re.sub(rf"(?<=[\w»)])[ {_NO_BREAK}{_NARROW}]?([;!?]+)(?=\s|$)", rf"{_NARROW}\1", text)
    text = re.sub(rf"(?<=[\w»)])[ {_NO_BREAK}{_NARROW}]?:(?=\s|$)", f"{_NO_BREAK}:", text)
    text = re.sub(rf"«[ {_NO_BREAK}]?(?=\S)(?!{_NARROW})", f"«{_NARROW}", text)
    return re.sub(rf"(?<=\S)(?<!{_NARROW})[ {_NO_BREAK}]?»", f"{_NARROW}»", text)


def _is_range(text: str) -> bool:
    """Years and opening hours are ranges; a telephone number or a date with hyphens is not."""
    return re.search(r"(?<![\d-])\d{1,4}-\d{1,4}(?![\d-])", text) is not None


@lru_cache(maxsize=16)
def _months(language: str) -> str | None:
    from babel.core import UnknownLocaleError
    from babel.dates import get_month_names

    if language in ("ja", "zh", "ko"):
        return None
    try:
        names = get_month_names("wide", locale=language).values()
    except (UnknownLocaleError, ValueError):
        return None
    return "|".join(re.escape(name) for name in names)
