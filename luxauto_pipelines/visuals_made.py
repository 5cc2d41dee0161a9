"""Pictures made from briefs and put into a folder, each judged, with a list of them and a contact sheet.

Belongs here: reading photographs, which order a brief is, writing files. Does not belong here: drawing, asking and judging
(`assets/visuals`).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief, InvalidBrief
from assets.visuals.errors import VisualsError
from assets.visuals.orders import Quality
from assets.visuals.studio.render import Picture
from resources.files import write_file

if TYPE_CHECKING:
    from assets.visuals.making import Maker
    from assets.visuals.orders import Order
    from assets.visuals.provenance import Credentials
    from resources.store.pictures import Picture as StoredPicture

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
            file = write_out(out / picture.name, final)
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
    write_out(out / SHEET, contact_sheet(loaded, thumbnails, loaded.kit.name))
    _write_list(out, loaded.version, made)
    return made


@dataclass(frozen=True)
class Asked:
    """How briefs are ordered from those who make pictures. `provider` None lets the best be chosen.

    `again` tells repetitions apart: the same briefs with the same `again` bring the pictures that they brought before.
    """

    provider: str | None = None
    quality: Quality = "high"
    campaign: str | None = None
    principal: str = "system"
    again: str = ""


def make_by_providers(
    maker: "Maker",
    briefs: Sequence[Brief],
    photos: Path,
    out: Path,
    asked: Asked,
    progress: Callable[[str], None] = lambda name: None,
) -> list[dict[str, Any]]:
    """Have every brief's pictures made by whoever is asked, into `out`. Returns a row a picture, one without a file where none
    came; one brief that fails stops no other. The same files beside them as of the studio.

    All briefs are looked through before anybody is asked. Raises VisualsError.
    """
    from assets.visuals.briefs import refuse_forbidden_words
    from assets.visuals.making import make
    from assets.visuals.studio.contact_sheet import contact_sheet

    for brief in briefs:
        refuse_forbidden_words(maker.loaded.kit, brief)
    ordered = [one for brief in briefs for one in orders_of_brief(maker.loaded, brief, _photo(photos, brief), asked)]
    rows: list[dict[str, Any]] = []
    thumbnails: list[tuple[str, bytes]] = []
    for order in ordered:
        name = f"{order.brief}-{order.language}-{order.width}x{order.height}"
        progress(name)
        try:
            made = make(maker, order)
        except VisualsError as error:
            rows.append(_without_file(order, str(error)))
            continue
        if not made.pictures:
            rows.append(_without_file(order, made.error or made.state, made.cost))
        for picture in made.pictures:
            content = maker.store.get(picture.sha256)
            file = write_out(out / f"{name}.{order.format}", content)
            rows.append(_row_of(file, order, picture, made.notes))
            thumbnails.append((f"{order.brief} · {order.language} · {order.width}x{order.height}", content))
    if thumbnails:
        write_out(out / SHEET, contact_sheet(maker.loaded, thumbnails, maker.loaded.kit.name))
    _write_list(out, maker.loaded.version, rows)
    return rows


def orders_of_brief(loaded: LoadedKit, brief: Brief, photo: bytes | None, asked: Asked) -> list["Order"]:
    """The orders of a brief, one a language and size. A model that paints is asked for the product, not for its card."""
    from assets.visuals.briefs import pixels
    from assets.visuals.orders import TEMPLATE_TYPES, Order

    content_type = TEMPLATE_TYPES[brief.template]
    if brief.template == "product_card" and asked.provider not in (None, "studio"):
        content_type = "product_photo"
    seen = hashlib.sha256(photo).hexdigest()[:12] if photo is not None else ""
    said = (
        f"cli/{brief.id}/{brief.hash}/{loaded.version}/{seen}/{asked.provider or 'auto'}/{asked.quality}/{asked.again}"
    )
    orders = []
    for language in brief.each_language():
        for size in brief.sizes:
            width, height = pixels(size)
            orders.append(
                Order(
                    f"{said}/{language}/{width}x{height}",
                    content_type=content_type,
                    preset=brief.preset,
                    provider=asked.provider,
                    width=width,
                    height=height,
                    quality=asked.quality,
                    format=brief.format,
                    seed=brief.seed,
                    product=brief.product,
                    photo=photo,
                    brief=brief.id,
                    layout=brief,
                    language=language,
                    sku=brief.product.sku or None if brief.product else None,
                    campaign=asked.campaign or brief.campaign or None,
                    principal=asked.principal,
                )
            )
    return orders


def _row_of(file: Path, order: "Order", picture: "StoredPicture", notes: Sequence[str]) -> dict[str, Any]:
    status = picture.details.get("status", "passed")
    return {
        "file": str(file),
        "brief": order.brief,
        "language": order.language,
        "width": picture.width,
        "height": picture.height,
        "provider": picture.provider,
        "model": picture.model,
        "picture": picture.public_id,
        "state": picture.state,
        "score": picture.score,
        "status": status,
        "why": [check["message"] for check in picture.checks if check["status"] in ("failed", "warned")],
        "notes": [*notes, *picture.details.get("notes", ())],
        "cost": picture.cost_micros / 1_000_000,
        "signed": picture.details.get("signed", False),
        "sha256": picture.sha256,
        "tries": list(picture.details.get("tries", ())),
    }


def _without_file(order: "Order", why: str, cost: int = 0) -> dict[str, Any]:
    nothing = {"file": None, "provider": None, "model": None, "picture": None, "state": None, "score": None}
    asked = {"brief": order.brief, "language": order.language, "width": order.width, "height": order.height}
    return {
        **nothing,
        **asked,
        "status": "failed",
        "why": [why],
        "notes": [],
        "cost": cost / 1_000_000,
        "signed": False,
    }


def write_out(path: Path, content: bytes) -> Path:
    """Write a file that somebody asked for, and return its path. Raises VisualsError where its folder takes none."""
    try:
        return write_file(path, content)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise VisualsError(f"{path} cannot be written ({why}): name a folder that you may write to") from error


def _write_list(out: Path, version: str, made: Sequence[Mapping[str, Any]]) -> None:

    listed = {"brand_kit": version, "pictures": list(made)}
    write_out(out / LIST, json.dumps(listed, ensure_ascii=False, indent=2).encode())


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
