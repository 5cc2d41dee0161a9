"""What the visual content agent refuses, each with what a caller needs to mend it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from luxauto_pipelines.agents.registry import AgentError, AgentUnavailable

if TYPE_CHECKING:
    from resources.images.service import Attempt, Candidate


class InvalidFields(AgentError):
    """Fields that cannot be taken: `errors` has (JSON pointer, message) of each."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{pointer}: {message}" for pointer, message in errors))
        self.errors = errors


class UnknownPicture(AgentError):
    """No such picture, or one that was deleted."""


class Conflict(AgentError):
    """A person has decided already."""


class PictureBlocked(AgentError):
    """A filter refused it. A result: asking again, or another provider, for the same is not done."""

    def __init__(self, message: str, stage: str | None, categories: Sequence[str]) -> None:
        super().__init__(message)
        self.stage = stage
        self.categories = tuple(categories)


class BudgetReached(AgentUnavailable):
    """It would cost more than may be spent. `retry_after` is in seconds, where a new day helps."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoProvider(AgentUnavailable):
    """Nobody can make it now; the message has each candidate and its reason, and what each of those asked answered."""

    def __init__(self, message: str, candidates: "Sequence[Candidate]", attempts: "Sequence[Attempt]") -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)
        self.attempts = tuple(attempts)
