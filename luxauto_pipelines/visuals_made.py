"""Pictures made from briefs and put into a folder, each judged, with a list of them and a contact sheet.

Belongs here: reading photographs, writing files. Does not belong here: drawing and judging (`assets/visuals`).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief, InvalidBrief
from assets.visuals.studio.render import Picture

if TYPE_CHECKING:
    from assets.visuals.provenance import Credentials

Sign = Callable[[bytes, Picture], bytes]
LIST, SHEET = "pictures.json", "contact-sheet.png"


def signer_of(credentials: "Credentials") -> Sign:
    """Signs what the studio drew: made by rules alone, or put together with a photograph."""
    from assets.visuals.provenance import sign

    def signed(content: bytes, picture: Picture) -> bytes:
        said = {
            key.removeprefix("luxauto:"): value for key, value in picture.metadata.items() if key.startswith("luxauto:")
        }
        return sign(
            content,
            credentials,
            title=picture.name,
            software=picture.metadata["Software"],
            source="composite" if "photo" in said else "algorithmicMedia",
            said=said,
        )

    return signed


def make_in_studio(
    loaded: LoadedKit,
    briefs: Sequence[Brief],
    photos: Path,
    out: Path,
    sign: Sign | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[dict[str, Any]]:
    """Draw every brief into `out`; `photos` is the folder that their photographs' paths begin in. Returns a row a picture.

    All briefs are looked through before the first is drawn. Raises VisualsError.
    """
    from assets.visuals.briefs import refuse_forbidden_words
    from assets.visuals.quality import Fingerprint, fingerprint, judge
    from assets.visuals.studio.contact_sheet import contact_sheet
    from assets.visuals.studio.render import render_brief
    from resources.files import write_file

    for brief in briefs:
        refuse_forbidden_words(loaded.kit, brief)
    content = {brief.id: _photo(photos, brief) for brief in briefs}
    palette = list(loaded.kit.palette.colours().values())
    made: list[dict[str, Any]] = []
    thumbnails: list[tuple[str, bytes]] = []
    seen: dict[str, Fingerprint] = {}
    for brief in briefs:
        # The same page in two languages or sizes is meant to look alike; two briefs are not.
        own: dict[str, Fingerprint] = {}
        for picture in render_brief(loaded, brief, content[brief.id]):
            progress(picture.name)
            size = (picture.width, picture.height)
            report = judge(picture.content, palette=palette, size=size, others=seen)
            own[picture.name] = fingerprint(picture.content)
            final = sign(picture.content, picture) if sign else picture.content
            file = write_file(out / picture.name, final)
            made.append(
                {
                    "file": str(file),
                    "brief": brief.id,
                    "language": picture.language,
                    "width": picture.width,
                    "height": picture.height,
                    "provider": "studio",
                    "score": report.score,
                    "status": report.status,
                    "why": [check.message for check in report.checks if check.status in ("failed", "warned")],
                    "notes": list(picture.notes),
                    "signed": sign is not None,
                    "sha256": hashlib.sha256(final).hexdigest(),
                    "metadata": dict(picture.metadata),
                }
            )
            thumbnails.append((f"{brief.id} · {picture.language} · {picture.width}x{picture.height}", picture.content))
        seen |= own
    write_file(out / SHEET, contact_sheet(loaded, thumbnails, loaded.kit.name))
    listed = {"brand_kit": loaded.version, "pictures": made}
    write_file(out / LIST, json.dumps(listed, ensure_ascii=False, indent=2).encode())
    return made


def _photo(folder: Path, brief: Brief) -> bytes | None:
    from assets.visuals.quality import fingerprint

    if brief.photo is None:
        return None
    file = folder / brief.photo
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidBrief(
            f"brief {brief.id}: photo {file} cannot be read ({error.strerror}): check the path"
        ) from error
    try:
        fingerprint(content)
    except Exception as error:
        raise InvalidBrief(f"brief {brief.id}: photo {file} is no PNG, JPEG or WebP that can be read") from error
    return content
