"""What programs may ask for: everything is described, and what is described is so, whatever is sent (schemathesis)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as described_so
from starlette.routing import Mount, Route, WebSocketRoute

from cxr_node import views
from cxr_node.domain.workitem import FILTERED, GLOBAL
from cxr_node.store import results
from cxr_node.web import actions, api, openapi, outputs, shapes, workitems
from cxr_node.web.accounts import Role
from tests import films
from tests.web import PSEUDONYMS, Web
from tests.written import document

TOKENS = {"viewer-token": Role.VIEWER, "admin-token": Role.ADMIN}
ADMIN = {"Authorization": "Bearer admin-token"}
PAGES = {
    "/", "/worklist", "/worklist/freeze", "/studies/{name}", "/studies/{name}/films/{film}.png",
    "/studies/{name}/films/{film}/heat.png", "/studies/{name}/{action}", "/studies/{name}/withdraw",
    "/studies/{name}/reinstate", "/health", "/language", "/sign-in",
    "/sign-out",
}  # fmt: skip
DESCRIPTION = "/api/openapi.json"
ASKED = [
    (each.path, each.method)
    for each in (*api.OPERATIONS, *actions.OPERATIONS, *workitems.OPERATIONS, *outputs.OPERATIONS, *openapi.OPERATIONS)
    if each.path != "/api/events"  # does not end
]
NOTHING_TO_GET_WRONG = ("/healthz", "/readyz")
HELD = [
    checks.not_a_server_error,
    described_so.status_code_conformance,
    described_so.content_type_conformance,
    described_so.response_schema_conformance,
    described_so.unsupported_method,
]
FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,  # what is found stays found; tests/fuzz looks for what is not known yet
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    """A node with a study that was judged, reported and claimed, one that was refused, and one that waits."""
    web = Web(tmp_path_factory.mktemp("node"), tokens=TOKENS)
    judged = web.film(0.9, AccessionNumber="A1")
    web.bench.send(films.leg())
    web.film()
    document(web, judged, "1.2.9")
    with web.bench.store.transaction() as tx:
        results.add_delivery(tx, "1.2.9", "pacs")
    return web


@pytest.fixture(scope="module")
def described(web: Web) -> dict[str, Any]:
    found: dict[str, Any] = web.client(**ADMIN).get(DESCRIPTION).json()
    return found


@pytest.fixture(scope="module")
def operations(web: Web) -> Any:
    return schemathesis.openapi.from_asgi(DESCRIPTION, web.app, headers=ADMIN)


def test_every_route_for_programs_is_described(web: Web, described: Mapping[str, Any]) -> None:
    routed = {
        (route.path, method.lower())
        for route in web.app.routes
        if isinstance(route, Route) and route.path not in PAGES
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert routed == {(path, method) for path, methods in described["paths"].items() for method in methods}
    others = [route for route in web.app.routes if not isinstance(route, Route)]
    assert [type(route) for route in others] == [WebSocketRoute, Mount], "event reports, and files of the pages"


def test_the_description_is_one(described: Mapping[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            names = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert names == {part[1:-1] for part in path.split("/") if part.startswith("{")}
    ids = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_who_may_do_what_is_said_as_it_is(web: Web, described: Mapping[str, Any]) -> None:
    """What takes a reader or an administrator refuses a viewer; what takes nobody needs no token."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if path == "/api/events":
                continue
            address = path.replace("{", "").replace("}", "")
            stranger = web.client().request(method, address)
            viewer = web.client(Authorization="Bearer viewer-token").request(method, address)
            assert (stranger.status_code == 401) == ("security" in operation), (method, path)
            takes = operation.get("description", "")
            assert (viewer.status_code == 403) == ("reader" in takes or "admin" in takes), (method, path)


def test_the_description_is_for_those_who_may_look(web: Web) -> None:
    assert web.client().get(DESCRIPTION).status_code == 401
    assert web.client(Authorization="Bearer viewer-token").get(DESCRIPTION).status_code == 200


def test_without_workitems_they_are_not_described(tmp_path: Path) -> None:
    web = Web(tmp_path, tokens=TOKENS, workitems=False)
    paths = web.client(**ADMIN).get(DESCRIPTION).json()["paths"]
    assert "/api/worklist" in paths
    assert not [path for path in paths if path.startswith("/dicom-web/workitems")]


def test_the_shapes_have_every_key_that_is_there(web: Web) -> None:
    """So that a key that comes is described, too."""
    entries = web.client(**ADMIN).get("/api/worklist").json()
    assert len(entries) == 3
    for entry in entries:
        assert entry.keys() == shapes.ENTRY["properties"].keys()
        jsonschema.validate(entry, shapes.ENTRY)
        study = views.study(web.bench.store, entry["study_instance_uid"])
        assert study
        assert study.keys() == shapes.STUDY["properties"].keys()
        jsonschema.validate(json.loads(json.dumps(study)), shapes.STUDY)


def answered_as_described(cases: st.SearchStrategy[Any], known: Mapping[str, Sequence[str]]) -> set[int]:
    """Ask, with what is `known` in the place of the path's parameters, where there is something; what is answered."""
    statuses = set()

    @FEW
    @given(cases, st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        for name in known.keys() & case.path_parameters.keys():
            case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
        response = case.call_and_validate(headers=ADMIN, checks=HELD)
        statuses.add(response.status_code)

    ask()
    return statuses


def test_a_workitem_that_is_as_described_is_created(operations: Any) -> None:
    body = "application/dicom+json"
    cases = operations["/dicom-web/workitems"]["POST"].as_strategy().filter(lambda case: case.media_type == body)
    assert 201 in answered_as_described(cases, {})


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), [one for one in ASKED if one[0] not in NOTHING_TO_GET_WRONG])
def test_whatever_is_asked_is_answered_as_described(
    operations: Any, path: str, method: str, mode: GenerationMode
) -> None:
    statuses = answered_as_described(operations[path][method].as_strategy(generation_mode=mode), {})
    assert 429 not in statuses, "strangers were asking"


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method in ASKED if "{" in path])
def test_so_is_what_is_asked_of_something_that_is_there(operations: Any, web: Web, path: str, method: str) -> None:
    studies = [row["study_instance_uid"] for row in web.bench.rows("SELECT study_instance_uid FROM worklist_entry")]
    uids = [row["uid"] for row in web.bench.rows("SELECT uid FROM workitem")]
    known = {"name": [*studies, *map(PSEUDONYMS.study, studies)], "workitem": [*uids, GLOBAL, FILTERED]}
    (written,) = web.bench.rows("SELECT * FROM document")
    named = {"study": "study_instance_uid", "series": "series_instance_uid", "instance": "sop_instance_uid"}
    known |= {name: [written[column]] for name, column in named.items()}
    statuses = answered_as_described(operations[path][method].as_strategy(), known)
    assert not statuses & {401, 403}, "an administrator asks"
    if method == "GET":  # elsewhere every body that was drawn may have been a wrong one
        assert statuses - {400, 404}, "nothing that is there was found"
