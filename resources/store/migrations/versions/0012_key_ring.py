"""Sealed fields and their keys."""

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    pass
