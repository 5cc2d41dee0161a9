"""What the visual content agent does, as jobs: order pictures, take them back, hand batches in and take in what they brought.

Belongs here: the ops' configuration, and what a run tells. Does not belong here: what is done (`agents/visual_content`,
`picture_batches`), and when (`visual_sensors`).

Each op may be repeated: orders have keys, batches are found again, and what was deleted stays so.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from luxauto_pipelines.picture_batches import made_briefs, submit_batch, told
from resources.store.brand_store import BrandStore

AGENT = "visual_content"
PRINCIPAL = "dagster"


class PictureOrder(dg.Config):
    """An order of the visual content agent. `order` has the fields of `POST /visual-content/generate`: `prompt`,
    `content_type`, `variations`, … The same `key` is the same order; without one the run is its key, re-executions included."""

    order: dict[str, Any]
    key: str = ""


class PictureRemoval(dg.Config):
    """Pictures by their ids, or the key of the order whose pictures are taken back."""

    pictures: list[str] = Field(default_factory=list)
    key: str = ""


class BatchOrder(dg.Config):
    """Nothing is handed in for fewer than `least` pictures."""

    least: int = 1


class BatchesAsked(dg.Config):
    """Batches by their keys; all open ones where none is named."""

    batches: list[str] = Field(default_factory=list)


@dg.op(pool="images")
def generate_pictures(
    context: dg.OpExecutionContext, config: PictureOrder, store: dg.ResourceParam[BrandStore]
) -> None:
    """Have pictures made as an order says. A repeated order brings the same ones and costs nothing."""
    key = config.key or f"run/{context.run.root_run_id or context.run_id}"
    answer = _asked(store, "generate", key, config.order)
    pictures = answer["pictures"]
    for note in answer.get("notes", ()):
        context.log.info(note)
    context.add_output_metadata(
        {
            "key": key,
            "pictures": dg.MetadataValue.json([one["id"] for one in pictures]),
            "shown": dg.MetadataValue.json([dict(one) for one in pictures]),
            "provider": str(answer["provider"]),
            "cost_usd": float(answer["cost"]),
        }
    )


@dg.op
def delete_pictures(
    context: dg.OpExecutionContext, config: PictureRemoval, store: dg.ResourceParam[BrandStore]
) -> None:
    """Take pictures back: the compensation of an order. Doing so again is harmless."""
    answer = _asked(store, "delete_generated", config.key, {"pictures": config.pictures}, undoes=bool(config.key))
    context.log.info(f"deleted: {', '.join(answer['deleted']) or 'nothing that was still there'}")
    context.add_output_metadata({"pictures": dg.MetadataValue.json(list(answer["deleted"]))})


@dg.op
def submit_picture_batch(
    context: dg.OpExecutionContext, config: BatchOrder, store: dg.ResourceParam[BrandStore]
) -> None:
    """Order the shots that wait and are not urgent together, at half the price."""
    row, note = submit_batch(store, least=config.least)
    context.log.info(note)
    if row is None:
        return
    context.add_output_metadata(
        {
            "batch": row.request_key,
            "state": row.state,
            "pictures": len(row.items),
            "reserved_usd": row.reserved_micros / 1_000_000,
            "briefs": dg.MetadataValue.json([item.brief for item in row.items]),
        }
    )
    if row.state == "failed":
        raise dg.Failure(f"the batch was refused: {row.error}", allow_retries=False)


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1, delay=5))
def collect_picture_batches(
    context: dg.OpExecutionContext, config: BatchesAsked, store: dg.ResourceParam[BrandStore]
) -> None:
    """Take up batches and take in what ended ones brought.

    The sensor `picture_batches` asks for the materialization of the briefs whose pictures have come, which finds them there.
    """
    from resources.images.batches import open_picture_batches

    batches = open_picture_batches(store)
    try:
        steps = batches.collect(config.batches or None)
    finally:
        batches.close()
    for step in steps:
        context.log.info(told(step))
    briefs = [brief for step in steps if step.change == "ended" for brief in made_briefs(step.batch)]
    cost = sum(step.batch.cost_micros or 0 for step in steps if step.change == "ended")
    context.add_output_metadata({"briefs": dg.MetadataValue.json(briefs), "cost_usd": cost / 1_000_000})


@dg.job(tags={"luxauto/job": "picture_order"})
def picture_order() -> None:
    """Have pictures made, as the run's configuration says."""
    generate_pictures()


@dg.job(tags={"luxauto/job": "picture_removal"})
def picture_removal() -> None:
    """Take pictures back."""
    delete_pictures()


@dg.job(tags={"luxauto/job": "picture_batch_submission"})
def picture_batch_submission() -> None:
    """Order the shots that wait together, at half the price."""
    submit_picture_batch()


@dg.job(tags={"luxauto/job": "picture_batch_collection"})
def picture_batch_collection() -> None:
    """Take in what batches of pictures have brought."""
    collect_picture_batches()


VISUAL_JOBS = [picture_order, picture_removal, picture_batch_submission, picture_batch_collection]


def _asked(
    store: BrandStore, method: str, key: str, parameters: Mapping[str, Any], *, undoes: bool = False
) -> Mapping[str, Any]:
    """What the agent answers. Raises dg.Failure for what it refuses: asking again would not help."""
    from luxauto_pipelines.agents.registry import AgentError, Call, Undone, find_agent

    undone = Undone(key, {}, None) if undoes else None
    call = Call(store, key, PRINCIPAL, undoes=undone)
    try:
        return find_agent(AGENT).call(method, call, parameters)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise dg.Failure(f"the order cannot be understood: {faults}", allow_retries=False) from error
    except AgentError as error:
        raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error
