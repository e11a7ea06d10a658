"""What programs may ask for, as values: routes are made from them, and so is their description (`openapi`).

Who may do it and what it does are not said here but where it is done: by `allowed`, and in the docstring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.routing import Route

Schema = Mapping[str, Any]
"""A JSON Schema (draft 2020-12), as OpenAPI 3.1 has it."""

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that an address says, in its path or behind its question mark."""

    name: str
    meaning: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    in_path: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of an address, answered by the method `endpoint` of its group.

    `answers`: by status what is answered, as schemas by media type, nothing for an empty one; those that a refusal has
    by rule (`openapi`) are not among them. `body` likewise; one that is `optional` may be missing.
    """

    method: str
    path: str
    endpoint: str
    answers: Mapping[int, Mapping[str, Schema]]
    parameters: Sequence[Parameter] = ()
    body: Mapping[str, Schema] = field(default_factory=dict)
    optional: bool = False


def routes(group: object, operations: Sequence[Operation]) -> list[Route]:
    """The routes of operations whose endpoints are methods of a group."""
    return [Route(each.path, getattr(group, each.endpoint), methods=[each.method]) for each in operations]
