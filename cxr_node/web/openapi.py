"""The description of what programs may ask for (OpenAPI 3.1), made from what the routes are made from."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from cxr_node.web import shapes
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.operations import JSON, Operation, Parameter, Schema
from cxr_node.web.parts import Parts, allowed, role_of

Group = tuple[object, Sequence[Operation]]
"""An object, and the operations whose endpoints are its methods."""

_FAILURE: Final = {JSON: shapes.FAILURE}
_PLAIN: Final = {"text/plain": shapes.TEXT}
_TOKEN: Final = "token"  # noqa: S105 - the name of a way to sign in
_REQUEST: Final = re.compile(r"^(GET|POST|PUT|DELETE) \S+?:? *(?=[ (]|$)")

OPERATIONS: Final = (
    Operation("GET", "/api/openapi.json", "document", {200: {JSON: {"type": "object", "required": ["openapi"]}}}),
)


@dataclass(frozen=True, slots=True)
class Description:
    """The endpoint that gives it to those who may look; `groups` are the other operations."""

    parts: Parts
    groups: Sequence[Group]

    @allowed(Role.VIEWER)
    def document(self, request: Request, caller: Caller) -> Response:
        """GET /api/openapi.json: what this is."""
        described = describe([*self.groups, (self, OPERATIONS)], self.parts.site.facts.version)
        return Response(json.dumps(described), media_type=JSON)


def describe(groups: Sequence[Group], version: str) -> dict[str, Any]:
    """The description of these operations, for a node of this version."""
    paths: dict[str, dict[str, Any]] = {}
    for group, operations in groups:
        for each in operations:
            paths.setdefault(each.path, {})[each.method.lower()] = _described(each, getattr(group, each.endpoint))
    return {
        "openapi": "3.1.0",
        "info": {"title": "cxr_node", "version": version},
        "paths": paths,
        "components": {"securitySchemes": {_TOKEN: {"type": "http", "scheme": "bearer"}}},
    }


def _described(operation: Operation, endpoint: Callable[..., Any]) -> dict[str, Any]:
    role = role_of(endpoint)
    said = {
        "operationId": f"{operation.method.lower()} {operation.path}",
        "summary": _summary(endpoint),
        "parameters": [_parameter(each) for each in operation.parameters],
        "responses": {
            str(status): _answer(status, content)
            for status, content in sorted((_by_rule(operation, role) | dict(operation.answers)).items())
        },
    }
    if role:
        said |= {"security": [{_TOKEN: []}], "description": f"Takes the role {role}."}
    if operation.body:
        said["requestBody"] = {"required": not operation.optional, "content": _content(operation.body)}
    return said


def _by_rule(operation: Operation, role: Role | None) -> dict[int, Mapping[str, Schema]]:
    """How a request may be refused, whatever it is for."""
    found: dict[int, Mapping[str, Schema]] = {}
    if role:
        found |= dict.fromkeys((401, 403, 429, 503), _FAILURE)
    if operation.parameters or operation.body:
        found[400] = _FAILURE
    if any(parameter.in_path for parameter in operation.parameters):
        found[404] = _FAILURE
    if operation.body:
        found |= {408: _PLAIN, 413: _PLAIN}
    return found


def _summary(endpoint: Callable[..., Any]) -> str:
    """The first line of its docstring, without the request that stands there."""
    first = (endpoint.__doc__ or "").strip().partition("\n")[0]
    return _REQUEST.sub("", first).strip() or first


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }


def _answer(status: int, content: Mapping[str, Schema]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return described | ({"content": _content(content)} if content else {})


def _content(by_type: Mapping[str, Schema]) -> dict[str, Any]:
    return {media_type: {"schema": schema} for media_type, schema in by_type.items()}
