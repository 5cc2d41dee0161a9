"""The GPU server as Dagster's resource: addresses and a key, and a thin client made of them.

Belongs here: configuration. Does not belong here: asking (`client`, `fleet`), and any model: a step loads none.

Steps that paint belong in the pool `gpu`, whose limit (`dagster instance concurrency set gpu 4`) holds across all runs;
`in_flight` holds within one process.
"""

from contextlib import AbstractContextManager

import dagster as dg
from pydantic import Field

from resources.gpu.client import RESTART_SECONDS
from resources.gpu.fleet import Fleet

POOL = "gpu"
"""The pool of the assets and ops that ask the server: `@dg.asset(pool=POOL)`."""


class SDXLServer(dg.ConfigurableResource[Fleet]):
    """Steps are given a `Fleet`, whose connections are closed after them. It reaches no server before it is asked."""

    urls: list[str] = Field(description="Addresses of the servers, such as http://gpu-1:8200; one server a GPU.")
    key: str | None = Field(default=None, description="Bearer key of all of them, where they ask for one.")
    in_flight: int = Field(default=16, ge=1, description="Requests under way at once, in one process.")
    restart_seconds: float = Field(
        default=RESTART_SECONDS, ge=0, description="How long a single server that died is waited for before the retry."
    )

    def fleet(self) -> Fleet:
        """The servers, for use outside of Dagster's steps. Whoever takes it closes it."""
        return Fleet(self.urls, self.key, in_flight=self.in_flight, restart_seconds=self.restart_seconds)

    def yield_for_execution(self, context: dg.InitResourceContext) -> AbstractContextManager[Fleet]:
        return self.fleet()
