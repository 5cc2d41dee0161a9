"""What the finance agent refuses, each with what a caller needs to mend it."""

from luxauto_pipelines.agents.registry import AgentError


class InvalidFields(AgentError):
    """Fields that cannot be taken: `errors` has (JSON pointer, message) of each."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{pointer}: {message}" for pointer, message in errors))
        self.errors = errors


class UnknownItem(AgentError):
    """No such SKU or item id."""


class Conflict(AgentError):
    """The books say otherwise already."""
