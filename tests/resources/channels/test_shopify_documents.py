"""Every document is valid, in the version that is used and in the one before it; the old forms are not."""

import gzip
import json
from functools import cache
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    NoDeprecatedCustomRule,
    OperationDefinitionNode,
    build_client_schema,
    parse,
    validate,
)
from graphql.utilities import coerce_input_value

from resources.channels import shopify_documents
from resources.channels.shopify import API_VERSION

DOCUMENTS = {
    name: text for name, text in vars(shopify_documents).items() if name.isupper() and not name.startswith("_")
}
VERSIONS = ("2026-07", "2026-10")


@cache
def read_schema(path: Path) -> GraphQLSchema:
    return build_client_schema(json.loads(gzip.decompress(path.read_bytes()))["data"], assume_valid=True)


@pytest.fixture(params=VERSIONS)
def schema(request: pytest.FixtureRequest) -> GraphQLSchema:
    return schema_of(request.param)


def schema_of(version: str) -> GraphQLSchema:
    path = Path(__file__).parents[3].parent / "shared" / "specs" / "shopify" / f"admin_{version}.json.gz"
    if not path.exists():
        pytest.skip(f"the vendor's introspection is not here: {path}")
    return read_schema(path)


def test_the_version_that_is_called_is_one_of_those_that_are_validated():
    assert API_VERSION in VERSIONS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_valid(name: str, schema: GraphQLSchema):
    assert validate(schema, parse(DOCUMENTS[name])) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_asks_for_nothing_that_is_deprecated(name: str, schema: GraphQLSchema):
    assert validate(schema, parse(DOCUMENTS[name]), [NoDeprecatedCustomRule]) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_holds_one_named_operation(name: str):
    operations = [one for one in parse(DOCUMENTS[name]).definitions if isinstance(one, OperationDefinitionNode)]
    assert [bool(one.name) for one in operations] == [True]


def test_the_directive_that_is_demanded_at_run_time_is_not_demanded_by_the_schema():
    bare = shopify_documents.SET_QUANTITIES.replace("@idempotent(key: $key)", "").replace(", $key: String!", "")
    assert "@idempotent" not in bare
    assert validate(schema_of(API_VERSION), parse(bare)) == []


@pytest.mark.parametrize("old", [{"compareQuantity": 1}, {"ignoreCompareQuantity": True}])
def test_the_old_way_to_compare_is_no_part_of_the_input(old: dict[str, object]):
    schema = schema_of(API_VERSION)
    one = {"inventoryItemId": "gid://shopify/InventoryItem/1", "locationId": "gid://shopify/Location/1", "quantity": 1}
    of_item = {**one, **old} if "compareQuantity" in old else {**one, "changeFromQuantity": 1}
    of_call = {} if "compareQuantity" in old else old
    problems: list[str] = []
    told = schema.type_map["InventorySetQuantitiesInput"]
    assert isinstance(told, GraphQLInputObjectType)
    coerce_input_value(
        {"name": "available", "reason": "correction", "quantities": [of_item], **of_call},
        told,
        lambda path, value, error: problems.append(error.message),
    )
    assert len(problems) == 1
    assert next(iter(old)) in problems[0]


def test_an_item_that_is_not_stocked_at_the_location_is_no_error_any_more():
    codes = {}
    for version in VERSIONS:
        told = schema_of(version).type_map["InventorySetQuantitiesUserErrorCode"]
        assert isinstance(told, GraphQLEnumType)
        codes[version] = set(told.values)
    assert codes["2026-07"] - codes["2026-10"] == {"ITEM_NOT_STOCKED_AT_LOCATION"}
