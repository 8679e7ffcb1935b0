"""The OpenAPI document is one that client generators and mock servers of many languages understand."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conformance import Description
from support import API

from msgsvc import openapi
from msgsvc.openapi.answers import ANSWERS
from msgsvc.openapi.bodies import BODIES
from msgsvc.openapi.errors import ERRORS
from msgsvc.openapi.operations import OPERATIONS
from msgsvc.routes import routes

DOCUMENT = openapi.document(routes(API, standalone=True), standalone=True)
ALL_OPERATIONS = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}
VERBS = "block|change|create|delete|get|list|log|mark|send|unblock|view"


def objects(value: object) -> Iterator[dict[str, Any]]:
    """Every JSON object of a value, itself included."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


SCHEMAS = [found for found in objects(DOCUMENT) if isinstance(found.get("type"), str | list)]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_may_gain_fields_later(name: str) -> None:
    assert "additionalProperties" not in ANSWERS[name]


@pytest.mark.parametrize("name", BODIES)
def test_a_request_body_has_its_fields_and_no_others(name: str) -> None:
    assert BODIES[name]["additionalProperties"] is False


def test_error_codes_are_an_open_list_that_names_all_of_today() -> None:
    code = ANSWERS["Error"]["properties"]["code"]
    assert "enum" not in code
    assert code["examples"] == list(ERRORS)


def test_every_object_has_a_name() -> None:
    named = [*ANSWERS.values(), *BODIES.values()]
    unnamed = [schema for schema in SCHEMAS if schema["type"] == "object" and schema not in named]
    assert unnamed == []


@pytest.mark.parametrize("name", ALL_OPERATIONS)
def test_an_operation_id_begins_with_a_verb(name: str) -> None:
    assert re.fullmatch(rf"({VERBS})[A-Z][A-Za-z]+", name)


def test_every_operation_has_an_id_of_its_own() -> None:
    assert len(ALL_OPERATIONS) == len(OPERATIONS)


def test_every_tag_has_a_description() -> None:
    used = {tag for operation in ALL_OPERATIONS.values() for tag in operation["tags"]}
    assert {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]} == used


def test_the_parts_of_a_schema_are_ones_that_every_generator_takes() -> None:
    assert [found for found in objects(DOCUMENT) if "const" in found and "type" not in found] == []
    assert [schema for schema in SCHEMAS if schema["type"] == "integer" and schema.get("format") != "int64"] == []
    assert [schema for schema in SCHEMAS if schema.get("format") == "password"] == []


def test_patterns_use_no_lookaround_and_no_nul() -> None:
    patterns = [schema["pattern"] for schema in SCHEMAS if "pattern" in schema]
    assert patterns
    assert [pattern for pattern in patterns if re.search(r"\(\?|\\u0000|\\x00|\\0|\0", pattern)] == []


@pytest.mark.parametrize(
    ("name", "allowed"), [("a", 1), (".a", 1), ("a.", 1), ("...", 1), (".", 0), ("..", 0), ("a/b", 0)]
)
def test_the_pattern_of_a_new_name_refuses_slashes_and_the_names_of_directories(name: str, allowed: int) -> None:
    assert bool(re.search(BODIES["NewUser"]["properties"]["username"]["pattern"], name)) == bool(allowed)


@pytest.mark.parametrize("operation", ALL_OPERATIONS.values(), ids=ALL_OPERATIONS)
def test_every_operation_has_an_error_for_every_other_status(operation: dict[str, Any]) -> None:
    assert operation["responses"]["default"] == {"$ref": "#/components/responses/Error"}


def test_the_request_id_is_no_argument_of_every_call() -> None:
    assert "X-Request-ID" not in {parameter["name"] for parameter in DOCUMENT["components"]["parameters"].values()}
    assert "`X-Request-ID`" in DOCUMENT["info"]["description"]


@pytest.mark.parametrize("operation", ALL_OPERATIONS.values(), ids=ALL_OPERATIONS)
def test_every_answer_has_an_example_that_says_something(operation: dict[str, Any]) -> None:
    judge = Description(DOCUMENT)
    for response in map(judge.resolve, operation["responses"].values()):
        for content in response.get("content", {}).values():
            references = content.get("examples", {}).values()
            examples = [judge.resolve(reference)["value"] for reference in references] or [content["example"]]
            for example in examples:
                judge.validate(example, content["schema"])
                assert [] not in example.values()


def test_the_document_is_plain_json() -> None:
    assert json.loads(json.dumps(DOCUMENT, allow_nan=False)) == DOCUMENT
