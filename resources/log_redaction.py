"""Card data in what a process says: taken out of every record of the standard library's logging, and of the last traceback.

Belongs here: the one switch that a process turns on when it starts. Does not belong here: the gateway's lines, which also leave
secrets out (`gateway/telemetry`), and Dagster's event log (`luxauto_pipelines/redacting_instance`).
"""

import logging
import sys
import traceback
from types import TracebackType
from typing import Any

from resources.card_numbers import redact


class RedactedRecord(logging.LogRecord):
    """A record whose message and traceback hold no card data, whichever handler and formatter asks for them.

    Its parts hold none either: a handler that fails tells them as they are.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.msg = _clean(self.msg)
        if isinstance(self.args, tuple):
            self.args = tuple(map(_clean, self.args))
        elif self.args:
            self.args = {name: _clean(value) for name, value in self.args.items()}

    def getMessage(self) -> str:  # noqa: N802
        return redact(super().getMessage())

    def __setattr__(self, name: str, value: Any) -> None:
        # Formatters keep the traceback's text here.
        super().__setattr__(name, redact(value) if name == "exc_text" and isinstance(value, str) else value)


def redact_logs() -> None:
    """Have every logger of this process, present and future, leave card data out; and the traceback that ends it."""
    logging.setLogRecordFactory(RedactedRecord)
    sys.excepthook = _tell


def _clean(value: Any) -> Any:
    return redact(value) if isinstance(value, str) else value


def _tell(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
        return
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, where))))
