"""Ready-made workflows: from a few words about a brand, a product or a campaign to the tasks that it takes.

Belongs here: which tasks, in which order, with which parameters. Does not belong here: what a task does (`agents`).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum, auto
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from luxauto_pipelines.workflows.spec import InvalidWorkflow, Task, WorkflowSpec

Free = dict[str, Any]


class WorkflowType(StrEnum):
    """The templates, and workflows of tasks of one's own."""

    fashion_brand_launch = auto()
    product_launch = auto()
    marketing_campaign = auto()
    inventory_sync = auto()
    content_generation = auto()
    website_build = auto()
    custom = auto()


class _Common(BaseModel):
    """What every template takes besides its own fields; `…_params` are handed to the agents as they are."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str | None = Field(default=None, min_length=1, max_length=200)
    max_parallel_tasks: int = Field(default=5, ge=1, le=64)
    enable_rollback: bool = True
    continue_on_failure: bool = False
    require_approval: bool = Field(default=False, description="Ask a person before anything is published.")


class BrandLaunch(_Common):
    brand_name: str = Field(min_length=1, max_length=200)
    visual_assets_params: Free = {}
    website_params: Free = {}
    inventory_params: Free = {}
    marketing_params: Free = {}


class ProductLaunch(_Common):
    product_name: str = Field(min_length=1, max_length=200)
    sku: str | None = Field(default=None, min_length=1, max_length=128)
    visual_assets_params: Free = {}
    description_params: Free = {}
    inventory_params: Free = {}
    marketing_params: Free = {}


class MarketingCampaign(_Common):
    campaign_name: str = Field(min_length=1, max_length=200)
    segment_params: Free = {}
    campaign_params: Free = {}


class InventorySync(_Common):
    channel: str = Field(min_length=1, max_length=64)
    items: list[Free] = Field(min_length=1, max_length=10_000)


class ContentGeneration(_Common):
    visual_assets_params: Free = {}


class WebsiteBuild(_Common):
    brand_name: str = Field(min_length=1, max_length=200)
    visual_assets_params: Free = {}
    website_params: Free = {}


def _brand_launch(data: BrandLaunch) -> list[Task]:
    visuals = _task(
        "Generate brand visual assets", "visual_content", "batch_generate", _with(data.visual_assets_params, data)
    )
    website = _task(
        "Build brand website", "web_development", "build_website", _with(data.website_params, data), visuals
    )
    inventory = _task("Set up inventory", "finance_inventory", "setup_inventory", data.inventory_params)
    ready = _approved("Approve the launch", f"May {data.brand_name} be launched?", data, visuals, website, inventory)
    campaign = _campaign(data.marketing_params, data.brand_name, *(ready or [website, inventory]))
    return [visuals, website, inventory, *ready, *campaign]


def _product_launch(data: ProductLaunch) -> list[Task]:
    product = {"product_name": data.product_name, **({"sku": data.sku} if data.sku else {})}
    visuals = _task(
        "Generate product visuals", "visual_content", "batch_generate", {**product, **data.visual_assets_params}
    )
    text = _task(
        "Write product description", "marketing", "write_product_description", {**product, **data.description_params}
    )
    stock = _task("Set up inventory", "finance_inventory", "setup_inventory", data.inventory_params)
    ready = _approved("Approve the launch", f"May {data.product_name} be launched?", data, visuals, text, stock)
    campaign = _campaign(data.marketing_params, data.product_name, *(ready or [visuals, text, stock]))
    sales = _task("Monitor first sales", "finance_inventory", "financial_report", {}, campaign[-1])
    return [visuals, text, stock, *ready, *campaign, sales]


def _marketing_campaign(data: MarketingCampaign) -> list[Task]:
    segment = _task("Create customer segment", "marketing", "create_segment", data.segment_params)
    ready = _approved("Approve the campaign", f"May {data.campaign_name} be sent?", data, segment)
    return [segment, *ready, *_campaign(data.campaign_params, data.campaign_name, *(ready or [segment]))]


def _inventory_sync(data: InventorySync) -> list[Task]:
    parameters = {"channel": data.channel, "items": data.items}
    return [_task("Sync inventory", "finance_inventory", "sync_inventory", parameters)]


def _content_generation(data: ContentGeneration) -> list[Task]:
    return [_task("Generate visual assets", "visual_content", "batch_generate", data.visual_assets_params)]


def _website_build(data: WebsiteBuild) -> list[Task]:
    visuals = _task(
        "Generate visual assets", "visual_content", "batch_generate", _with(data.visual_assets_params, data)
    )
    return [
        visuals,
        _task("Build website", "web_development", "build_website", _with(data.website_params, data), visuals),
    ]


_Template = tuple[type[_Common], Callable[[Any], list[Task]]]
TEMPLATES: Mapping[WorkflowType, _Template] = {
    WorkflowType.fashion_brand_launch: (BrandLaunch, _brand_launch),
    WorkflowType.product_launch: (ProductLaunch, _product_launch),
    WorkflowType.marketing_campaign: (MarketingCampaign, _marketing_campaign),
    WorkflowType.inventory_sync: (InventorySync, _inventory_sync),
    WorkflowType.content_generation: (ContentGeneration, _content_generation),
    WorkflowType.website_build: (WebsiteBuild, _website_build),
}


def build_spec(kind: WorkflowType, data: Mapping[str, Any]) -> WorkflowSpec:
    """The specification of a workflow of this type. Raises InvalidWorkflow, with pointers into `data`."""
    try:
        if kind is WorkflowType.custom:
            return WorkflowSpec.model_validate({**data, "type": kind.value})
        model, tasks_of = TEMPLATES[kind]
        given = model.model_validate(data)
    except ValidationError as error:
        found = [("/" + "/".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
        # A list of which no item is right is called too short besides.
        inner = [e for e in found if not any(place.startswith(f"{e[0]}/") for place, _ in found)]
        raise InvalidWorkflow(inner) from error
    return WorkflowSpec(
        name=given.name or _title(kind, given),
        type=kind.value,
        max_parallel_tasks=given.max_parallel_tasks,
        enable_rollback=given.enable_rollback,
        continue_on_failure=given.continue_on_failure,
        tasks=tuple(tasks_of(given)),
    )


def _campaign(parameters: Free, name: str, *after: Task) -> list[Task]:
    create = _task("Create marketing campaign", "marketing", "create_campaign", {"name": name, **parameters}, *after)
    launched = {"campaign_id": f"${{{create.name}.campaign_id}}"}
    return [create, _task("Launch marketing campaign", "marketing", "launch_campaign", launched, create)]


def _approved(name: str, question: str, data: _Common, *after: Task) -> list[Task]:
    return [_task(name, "workflow", "approval", {"question": question}, *after)] if data.require_approval else []


def _task(name: str, agent: str, method: str, parameters: Free, *after: Task) -> Task:
    waits = tuple(task.name for task in after)
    return Task(name=name, agent_type=agent, agent_method=method, parameters=parameters, depends_on=waits)


def _with(parameters: Free, data: BrandLaunch | WebsiteBuild) -> Free:
    return {"brand_name": data.brand_name, **parameters}


def _title(kind: WorkflowType, data: BaseModel) -> str:
    subject = next(
        (getattr(data, f) for f in ("brand_name", "product_name", "campaign_name", "channel") if hasattr(data, f)), ""
    )
    return f"{kind.replace('_', ' ').capitalize()}{f': {subject}' if subject else ''}"
