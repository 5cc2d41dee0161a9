"""A film and its poster with content credentials: what they were put together from, as far as the stills themselves say.

Belongs here: which source a film has. Does not belong here: signing (`assets.visuals.provenance`) and where keys lie.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from assets.visuals.motion.film import Film
from assets.visuals.motion.plan import FilmRefused, Still
from assets.visuals.provenance import Credentials, Source, sign, verify

_PAINTED = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")


def signed_film(film: Film, stills: Iterable[Still], credentials: Credentials) -> Film:
    """The same film signed, its poster too. Sign last: any change after it breaks the signature.

    No credentials can be written into WebM: such a film stays as it is, and its notes say so. Raises ProvenanceError where
    signing fails, FilmRefused as `source_of`.
    """
    source = source_of(stills)
    said = {key.removeprefix("luxauto:"): value for key, value in film.metadata.items() if key.startswith("luxauto:")}

    def signed(content: bytes) -> bytes:
        software = film.metadata["Software"]
        return sign(content, credentials, title=film.metadata["Title"], software=software, source=source, said=said)

    if film.media_type != "video/mp4":
        note = "WebM holds no content credentials, so that the poster alone is signed: ask for MP4"
        return replace(film, poster=signed(film.poster), notes=(*film.notes, note))
    return replace(film, content=signed(film.content), poster=signed(film.poster))


def source_of(stills: Iterable[Still]) -> Source:
    """Drawn by rules alone, put together from pictures, or partly painted by a model where a still's own credentials say so.

    Raises FilmRefused for a still whose credentials are broken.
    """
    source: Source = "algorithmicMedia"
    for still in stills:
        if still.drawn:
            continue
        found = verify(still.content)
        if found.state == "invalid":
            raise FilmRefused(
                f"{still.name} brings credentials that are broken: find out who changed it before using it"
            )
        if found.source in _PAINTED:
            source = "compositeWithTrainedAlgorithmicMedia"
        elif source == "algorithmicMedia":
            source = "composite"
    return source
