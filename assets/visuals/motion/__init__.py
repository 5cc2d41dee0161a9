"""Motion cards: short films made from stills, with slow moves, crossfades, a title and the logo; no model, no network.

Belongs here: what a film is made of and when (`plan`), its frames (`frames`), its cards and stills (`stills`), its file
(`encode`), its credentials (`credentials`) and whether it is good enough (`judge`). Does not belong here: where a file is put,
and films that a model paints.
"""

from assets.visuals.motion.credentials import signed_film
from assets.visuals.motion.film import Film, make_film
from assets.visuals.motion.judge import FilmReport, judge_film
from assets.visuals.motion.plan import CONTENT_TYPES, FilmPlan, FilmRefused, Still, Timeline, timeline_of
from assets.visuals.motion.stills import stills_of

__all__ = [
    "CONTENT_TYPES",
    "Film",
    "FilmPlan",
    "FilmRefused",
    "FilmReport",
    "Still",
    "Timeline",
    "judge_film",
    "make_film",
    "signed_film",
    "stills_of",
    "timeline_of",
]
