"""Checks responses against the OpenAPI document of the application that gave them."""

import re
from typing import Any

from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what it leaves open for later versions: other fields in answers, other statuses."""
    schemas = {
        name: {**schema, "additionalProperties": False} if "properties" in schema else schema
        for name, schema in document["components"]["schemas"].items()
    }
    paths = {
        path: {
            method: {**operation, "responses": {k: v for k, v in operation["responses"].items() if k != "default"}}
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    return {**document, "paths": paths, "components": {**document["components"], "schemas": schemas}}


class Description:
    """The OpenAPI document of an application, compiled to check that responses have its fields and no others."""

    def __init__(self, document: dict[str, Any]) -> None:
        document = closed(document)
        self.components = document["components"]
        literal_first = sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        self._paths = [(self._pattern(template), operations) for template, operations in literal_first]
        self._validators: dict[str, Draft202012Validator] = {}

    def _pattern(self, template: str) -> re.Pattern[str]:
        def segment(match: re.Match[str]) -> str:
            is_id = self.components["parameters"][match[1]]["schema"]["type"] == "integer"
            return "[0-9]+" if is_id else "[^/]+"

        return re.compile(re.sub(r"\\{(\w+)\\}", segment, re.escape(template)))

    def resolve(self, value: dict[str, Any]) -> dict[str, Any]:
        """The component that a reference names; any other value unchanged."""
        if "$ref" not in value:
            return value
        kind, name = value["$ref"].removeprefix("#/components/").split("/")
        return self.components[kind][name]

    def validate(self, value: object, schema: dict[str, Any]) -> None:
        """Raises jsonschema.ValidationError."""
        key = repr(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(
                {**schema, "components": self.components}, format_checker=Draft202012Validator.FORMAT_CHECKER
            )
        self._validators[key].validate(value)

    def judge(self, response: TestResponse) -> None:
        """Asserts that the document describes the status, headers and body of the response."""
        request = response.request
        path = request.root_path + request.path
        operations = next((found for pattern, found in self._paths if pattern.fullmatch(path)), {})
        operation = operations.get("get" if request.method == "HEAD" else request.method.lower())
        if operation:
            described = operation["responses"].get(str(response.status_code))
            assert described, f"{request.method} {path}: {response.status} is not documented; {response.text}"
        elif request.method == "OPTIONS" and response.status_code == 204:
            assert "Access-Control-Allow-Methods" in response.headers
            return
        else:
            assert response.status_code in (404, 405), f"{request.method} {path}: {response.status}; {response.text}"
            described = self.components["responses"][f"Error{response.status_code}"]
        if response.status_code == 405:
            methods = {method.upper() for method in operations}
            assert set(response.headers["Allow"].split(", ")) == methods | ({"HEAD"} if "GET" in methods else set())
        self._judge_headers(response, self.resolve(described))
        self._judge_body(response, self.resolve(described))

    def _judge_headers(self, response: TestResponse, described: dict[str, Any]) -> None:
        for name, reference in described["headers"].items():
            header = self.resolve(reference)
            assert name in response.headers or not header["required"], f"{response.status} without {name}"
            if name in response.headers:
                self.validate(response.headers[name], header["schema"])
        unforeseen = (self.components["headers"].keys() - described["headers"].keys()) & set(response.headers.keys())
        assert unforeseen == set()

    def _judge_body(self, response: TestResponse, described: dict[str, Any]) -> None:
        if "content" not in described:
            assert response.data == b""
            assert "Content-Type" not in response.headers
            return
        (media_type, content), *_ = described["content"].items()
        assert response.headers["Content-Type"] == media_type
        if response.request.method == "HEAD":
            assert response.data == b""
            return
        self.validate(response.json, content["schema"])
        if response.status_code >= 400:
            assert response.json["code"] in content["examples"], response.text


_descriptions: dict[tuple[str, ...], Description] = {}


def description(document: dict[str, Any]) -> Description:
    """The description for a document; applications with the same paths share one."""
    key = (*document["paths"], *document["components"])
    if key not in _descriptions:
        _descriptions[key] = Description(document)
    return _descriptions[key]
