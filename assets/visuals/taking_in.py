"""Pictures that somebody downloaded, taken in: judged, compared with those that are there, signed, kept, recorded.

Belongs here: what becomes of one file, and what is told about it. Does not belong here: which files there are (the command),
and what a file says of itself (`downloads`).

Each file is for itself: one that is broken leaves the others alone. A file's SHA-256 is its key, so that taking it in again,
under whatever name, changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from assets.visuals import quality
from assets.visuals.brand_kit import forbidden_in
from assets.visuals.downloads import Told, what_it_tells
from resources.images.grid import FORMATS, NoPicture, open_picture, split_grid
from resources.store.pictures import Picture, is_needed, keep_pictures, list_pictures, pictures_of

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.provenance import Credentials, Verdict
    from assets.visuals.quality import Report
    from resources.images.picture_store import PictureStore
    from resources.store.brand_store import BrandStore

Outcome = Literal["accepted", "needs_review", "known", "duplicate", "broken"]
Split = Literal["none", "grids", "all"]
REFUSED: tuple[Outcome, ...] = ("duplicate", "broken")
UNKNOWN_PROVIDER = "download"
SOFTWARE = "luxauto import 1"
_PAGE = 500


@dataclass(frozen=True)
class Wish:
    """What is said of all files of an import. `provider` None leaves it to the file; `split` says which are grids of four."""

    content_type: str = "product_photo"
    provider: str | None = None
    sku: str | None = None
    brief: str | None = None
    campaign: str | None = None
    split: Split = "none"
    principal: str = "system"


@dataclass(frozen=True)
class Taken:
    """What became of a file, or of a quarter of it. `id` is the picture's, or that of the one which it repeats."""

    file: str
    outcome: Outcome
    why: str
    place: int | None = None
    id: str | None = None
    score: float | None = None
    provider: str | None = None
    job: str | None = None
    seed: int | None = None
    prompt: str | None = None
    signed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _There:
    """A picture that is there. `grey` comes from its bytes, when it may be the same as another."""

    id: str
    state: str
    sha256: str
    bits: int
    mirrored: int


@dataclass
class Intake:
    """Takes files in, one after the other. `credentials` None leaves them unsigned, `loaded` None their colours unjudged."""

    books: BrandStore
    store: PictureStore
    wish: Wish
    loaded: LoadedKit | None = None
    credentials: Credentials | None = None
    _there: list[_There] = field(default_factory=list, init=False)
    _is_read: bool = field(default=False, init=False)

    def take(self, name: str, content: bytes) -> list[Taken]:
        """What became of a file: one answer, or four where it was split. Raises nothing for what is wrong with the file."""
        told = what_it_tells(name, content)
        sha256 = hashlib.sha256(content).hexdigest()
        if not self._is_split(told):
            return [self._one(name, content, content, sha256, told, None)]
        try:
            quarters = split_grid(content)
        except NoPicture as error:
            return [Taken(name, "broken", f"it {error}")]
        return [self._one(name, content, quarter, sha256, told, place) for place, quarter in enumerate(quarters)]

    def _is_split(self, told: Told) -> bool:
        return self.wish.split == "all" or (self.wish.split == "grids" and told.is_grid)

    def _one(self, name: str, file: bytes, content: bytes, sha256: str, told: Told, place: int | None) -> Taken:
        from assets.visuals.provenance import ProvenanceError, verify

        row = _Row(name, f"import:{sha256}", sha256, told, told.place if place is None else place, place is not None)
        if there := self._known(row):
            return there
        try:
            _, kind = open_picture(content)
            report = quality.judge(content, palette=self._palette(), others=self._alike(content))
        except NoPicture as error:
            return Taken(name, "broken", f"it {error}", place)
        except Exception as error:
            # Pillow opens some pictures whose kind of pixels it cannot turn into colours.
            return Taken(name, "broken", f"it cannot be judged: {error}"[:200], place)
        repeated = next((c for c in report.checks if c.name == "duplicate" and c.status == "failed"), None)
        if repeated is not None:
            return row.taken("duplicate", repeated.message, str(repeated.value), report.score)
        verdict = verify(file)
        notes = self._notes(row, verdict)
        try:
            final = self._signed(row, file, content, verdict)
        except ProvenanceError as error:
            final, notes = content, (*notes, f"it could not be signed: {error}")
        picture = self._picture(row, report, kind, content, final, verdict, notes)
        if first := self._kept(row, picture, final):
            return row.taken("known", f"it is there already ({first.state})", row.id)
        self._there.append(_there(picture))
        why = "; ".join([*(c.message for c in report.checks if c.status in ("failed", "warned")), *notes])
        outcome: Outcome = "accepted" if picture.state == "accepted" else "needs_review"
        return row.taken(outcome, why, row.id, report.score, final is not content, notes, picture.provider)

    # What is there

    def _known(self, row: _Row) -> Taken | None:
        """Whether this file was taken in before, or is a picture of ours, bit for bit."""
        with self.books.read() as (connection, brand):
            before = pictures_of(connection, brand, row.key)
        same = [(one.public_id, one.state) for one in before if one.public_id == row.id]
        if not row.is_quarter:
            same += [(one.id, one.state) for one in self._all() if one.sha256 == row.sha256]
        if not same:
            return None
        found, state = same[0]
        deleted = "; it was deleted, and is not taken in again" if state == "deleted" else ""
        return row.taken("known", f"it is there already ({state}){deleted}", found)

    def _alike(self, content: bytes) -> dict[str, quality.Fingerprint]:
        """Pictures that may be the same by their 64 bits, with all that is needed to tell."""
        try:
            own = quality.fingerprint(content)
        except Exception:
            return {}
        most = quality.Limits().duplicate_bits
        found = {}
        for one in self._all():
            if min((own.bits ^ one.bits).bit_count(), (own.mirrored ^ one.bits).bit_count()) > most:
                continue
            if one.state != "deleted" and self.store.exists(one.sha256):
                found[one.id] = quality.fingerprint(self.store.get(one.sha256))
        return found

    def _all(self) -> list[_There]:
        """All pictures of the brand, whatever became of them: what was rejected is not to come back, either."""
        if not self._is_read:
            before: int | None = None
            while True:
                with self.books.read() as (connection, brand):
                    page = list_pictures(connection, brand, before=before, limit=_PAGE)
                self._there += [_there(one) for one in page if one.fingerprint]
                if len(page) < _PAGE:
                    break
                before = page[-1].id
            self._is_read = True
        return self._there

    # What is kept

    def _kept(self, row: _Row, picture: Picture, final: bytes) -> Picture | None:
        """Write bytes and row; gives the row of another process, where one was first: then that is what there is."""
        self.store.put(final)
        first: Picture | None = None
        try:
            with self.books.write() as (connection, brand):
                first = next((one for one in pictures_of(connection, brand, row.key) if one.public_id == row.id), None)
                if first is None:
                    keep_pictures(connection, brand, [picture])
        finally:
            with self.books.read() as (connection, _):
                needed = is_needed(connection, picture.sha256)
            if not needed:
                self.store.delete(picture.sha256)
        return first

    def _palette(self) -> Sequence[str]:
        return list(self.loaded.kit.palette.colours().values()) if self.loaded else ()

    def _notes(self, row: _Row, verdict: Verdict) -> tuple[str, ...]:
        """What a person should look at, though no check of the picture itself says so."""
        notes = []
        if verdict.state == "invalid":
            notes.append(
                "its content credentials are broken, so it was changed after it was signed; it is not signed here"
            )
        if self.loaded and row.told.prompt and (words := forbidden_in(self.loaded.kit, row.told.prompt)):
            notes.append(f"its prompt holds what the brand kit forbids: {', '.join(words)}")
        return tuple(notes)

    def _signed(self, row: _Row, file: bytes, content: bytes, verdict: Verdict) -> bytes:
        """With our credentials, those that it brings as ingredient. Nobody's work is signed as made here."""
        from assets.visuals.provenance import sign

        maker = self.wish.provider or row.told.provider
        if self.credentials is None or verdict.state == "invalid" or (maker is None and not verdict.is_intact):
            return content
        said = {"provider": maker or UNKNOWN_PROVIDER, "imported": row.sha256[:12], "order": row.id}
        if row.told.prompt:
            said["prompt"] = hashlib.sha256(row.told.prompt.encode()).hexdigest()[:16]
        if row.told.seed is not None:
            said["seed"] = str(row.told.seed)
        if self.loaded:
            said["brand_kit"] = self.loaded.version
        return sign(
            content,
            self.credentials,
            title=self.wish.brief or self.wish.content_type.replace("_", " "),
            software=SOFTWARE,
            source="trainedAlgorithmicMedia",
            said=said,
            original=file if row.is_quarter and verdict.is_intact else None,
        )

    def _picture(
        self,
        row: _Row,
        report: Report,
        kind: str,
        content: bytes,
        final: bytes,
        verdict: Verdict,
        notes: tuple[str, ...],
    ) -> Picture:
        wish, told, prints = self.wish, row.told, quality.fingerprint(content)
        provider = wish.provider or told.provider or UNKNOWN_PROVIDER
        details: dict[str, Any] = {
            "file": row.name,
            "source_sha256": row.sha256,
            "place": row.place,
            "quarter": row.is_quarter,
            "job": told.job,
            "prompt": told.prompt,
            "prompt_is_shortened": told.shortened,
            "parameters": told.parameters,
            "credentials": {"state": verdict.state, "signer": verdict.signer},
            "signed": final is not content,
            "status": report.status,
            "notes": list(notes),
        }
        return Picture(
            public_id=row.id,
            request_key=row.key,
            content_type=wish.content_type,
            provider=provider,
            model=provider,
            sha256=hashlib.sha256(final).hexdigest(),
            media_type=FORMATS[kind],
            width=report.width,
            height=report.height,
            bytes=len(final),
            score=report.score,
            state="accepted" if report.status == "passed" and not notes else "needs_review",
            kit_version=self.loaded.version if self.loaded else "",
            created_at=datetime.now(UTC),
            created_by=wish.principal,
            brief=wish.brief,
            sku=wish.sku,
            campaign=wish.campaign,
            seed=told.seed,
            fingerprint=f"{prints.bits:016x}:{prints.mirrored:016x}",
            checks=[asdict(check) for check in report.checks],
            details=details,
        )


@dataclass(frozen=True)
class _Row:
    """A file or a quarter of it, before it is a row."""

    name: str
    key: str
    sha256: str
    told: Told
    place: int | None
    is_quarter: bool

    @property
    def id(self) -> str:
        part = f"#{self.place}" if self.is_quarter else ""
        return f"pic_{hashlib.sha256(f'{self.key}{part}'.encode()).hexdigest()[:24]}"

    def taken(
        self,
        outcome: Outcome,
        why: str,
        id: str,
        score: float | None = None,
        signed: bool = False,
        notes: tuple[str, ...] = (),
        provider: str | None = None,
    ) -> Taken:
        told = self.told
        return Taken(
            self.name,
            outcome,
            why,
            self.place,
            id,
            score,
            provider or told.provider,
            told.job,
            told.seed,
            told.prompt,
            signed,
            notes,
        )


def _there(picture: Picture) -> _There:
    bits, _, mirrored = (picture.fingerprint or "0:0").partition(":")
    return _There(picture.public_id, picture.state, picture.sha256, int(bits, 16), int(mirrored, 16))
