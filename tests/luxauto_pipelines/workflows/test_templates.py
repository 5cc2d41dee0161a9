"""The templates: each makes a workflow that can be run, and says which field it does not know."""

from typing import Any

import pytest

from luxauto_pipelines.workflows.spec import InvalidWorkflow, WorkflowSpec, check
from luxauto_pipelines.workflows.templates import WorkflowType, build_spec
from tests.peers.inline import gate

LEAST: dict[WorkflowType, dict[str, Any]] = {
    WorkflowType.fashion_brand_launch: {"brand_name": "Élégance Noir"},
    WorkflowType.product_launch: {"product_name": "Sac", "sku": "BAG"},
    WorkflowType.marketing_campaign: {"campaign_name": "Été"},
    WorkflowType.inventory_sync: {"channel": "shopify", "items": [{"sku": "BAG", "quantity_available": 1}]},
    WorkflowType.content_generation: {},
    WorkflowType.website_build: {"brand_name": "Élégance Noir"},
}
# Those that publish something.
ASK = [WorkflowType.fashion_brand_launch, WorkflowType.product_launch, WorkflowType.marketing_campaign]


def order(spec: WorkflowSpec) -> dict[str, set[str]]:
    return {task.name: spec.ancestors(task.name) for task in spec.tasks}


@pytest.mark.parametrize("kind", LEAST)
def test_each_template_makes_a_workflow_that_can_be_run(kind: WorkflowType) -> None:
    spec = build_spec(kind, LEAST[kind])
    check(spec)
    assert spec.type == kind.value
    assert spec.name


def test_there_is_a_test_for_every_template() -> None:
    assert {*LEAST, WorkflowType.custom} == set(WorkflowType)


@pytest.mark.parametrize("kind", LEAST)
def test_a_field_that_the_template_does_not_know_is_named(kind: WorkflowType) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        build_spec(kind, {**LEAST[kind], "colour": "noir"})
    assert [pointer for pointer, _ in caught.value.errors] == ["/colour"]


@pytest.mark.parametrize("kind", [kind for kind in LEAST if LEAST[kind]])
def test_a_field_that_is_missing_is_named(kind: WorkflowType) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        build_spec(kind, {})
    assert set(LEAST[kind]) - {"sku"} == {pointer.removeprefix("/") for pointer, _ in caught.value.errors}


@pytest.mark.parametrize("kind", ASK)
def test_a_person_is_asked_before_anything_is_published_where_that_is_wanted(kind: WorkflowType) -> None:
    plain, asking = build_spec(kind, LEAST[kind]), build_spec(kind, {**LEAST[kind], "require_approval": True})
    check(asking)
    (question,) = {task.name for task in asking.tasks} - {task.name for task in plain.tasks}
    assert "Launch marketing campaign" in order(asking)
    assert question in order(asking)["Launch marketing campaign"]


def test_a_brand_launch_prepares_side_by_side_and_publishes_last() -> None:
    tasks = order(build_spec(WorkflowType.fashion_brand_launch, {"brand_name": "Noir"}))
    assert tasks["Set up inventory"] == set()
    assert tasks["Launch marketing campaign"] == set(tasks) - {"Launch marketing campaign"}


def test_the_campaign_that_is_launched_is_the_one_that_was_made() -> None:
    spec = build_spec(WorkflowType.marketing_campaign, {"campaign_name": "Été"})
    assert spec.task("Launch marketing campaign").parameters == {
        "campaign_id": "${Create marketing campaign.campaign_id}"
    }


def test_what_a_template_is_given_for_an_agent_reaches_it() -> None:
    data = {"brand_name": "Noir", "website_params": {"pages": 3}, "visual_assets_params": {"brand_name": "Blanc"}}
    spec = build_spec(WorkflowType.fashion_brand_launch, data)
    assert spec.task("Build brand website").parameters == {"brand_name": "Noir", "pages": 3}
    # What is given counts more than what the template would say.
    assert spec.task("Generate brand visual assets").parameters == {"brand_name": "Blanc"}


def test_the_rules_of_a_template_are_those_of_the_workflow() -> None:
    rules = {"name": "Mine", "max_parallel_tasks": 2, "enable_rollback": False, "continue_on_failure": True}
    spec = build_spec(WorkflowType.content_generation, rules)
    assert {field: getattr(spec, field) for field in rules} == rules


def test_a_custom_workflow_is_its_tasks() -> None:
    spec = build_spec(WorkflowType.custom, {"name": "Mine", "tasks": [gate("g")]})
    assert (spec.type, [task.name for task in spec.tasks]) == ("custom", ["g"])


def test_a_custom_workflow_that_is_none_is_answered_with_pointers() -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        build_spec(WorkflowType.custom, {"name": "Mine", "tasks": [{**gate("g"), "retry_count": 99}]})
    assert [pointer for pointer, _ in caught.value.errors] == ["/tasks/0/retry_count"]
