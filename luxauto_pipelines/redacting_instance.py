"""The Dagster instance of an installation: what it keeps of runs and ticks holds no card data.

Belongs here: the one gate before Dagster's storage: events with their messages, metadata and tracebacks, and the ticks of
sensors and schedules. Does not belong here: what is card data (`resources/card_data`). `dagster.yaml` names this class.
"""

import json
from typing import Any, TypeVar

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

from resources.card_data import REDACTED, find_card_data, redact_value
from resources.card_numbers import redact
from resources.log_redaction import redact_logs

_T = TypeVar("_T")


class RedactingInstance(dg.DagsterInstance):
    """Dagster's own, but for what it writes down, and what the process that has it logs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # The output of steps is captured in files: daemons, web servers and run workers all come by here first.
        redact_logs()
        super().__init__(*arguments, **options)

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """Dagster asks every class of this kind what may stand in `dagster.yaml` for it: nothing."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Any:
        """What an instance is made of where `dagster.yaml` says nothing: the same as Dagster's own."""
        return InstanceRef.config_defaults(base_dir)

    def handle_new_event(self, event: Any, **options: Any) -> None:
        super().handle_new_event(without_card_data(event), **options)

    def store_event(self, event: Any) -> None:
        super().store_event(without_card_data(event))

    def update_tick(self, tick: Any) -> Any:
        return super().update_tick(without_card_data(tick))


def without_card_data(record: _T) -> _T:
    """The same record of Dagster's, or where something in it is card data, one without that."""
    said = json.loads(serialize_value(record))  # pyright: ignore[reportArgumentType]
    if find_card_data(said) is None:
        return record
    try:
        return deserialize_value(json.dumps(redact_value(said)), type(record))  # pyright: ignore
    except Exception:
        # A word has taken the place of a number that Dagster needs as one.
        return deserialize_value(json.dumps(_with_clean_texts(said)), type(record))  # pyright: ignore


def _with_clean_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {redact(name): _with_clean_texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_clean_texts(item) for item in value]
    if isinstance(value, str):
        return REDACTED if find_card_data(redact(value)) is not None else redact(value)
    return 0 if find_card_data(value) is not None else value
