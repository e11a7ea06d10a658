"""Whatever is asked of the web side, by whomever: it is answered, and never with a fault of ours."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from cxr_node.web.accounts import Role
from tests.web import PSEUDONYMS, Web, form_token

NAMES = st.one_of(
    st.sampled_from(["STUDY", "UID", "1.2.3", "s-aaaaaaaaaaaa", "..", "%2e%2e", "%00", "%ff", "a b"]),
    st.text(max_size=80).map(lambda text: quote(text, safe="", errors="replace")),
)
PATHS = st.one_of(
    st.sampled_from(
        ["/", "/worklist", "/worklist/freeze", "/health", "/sign-in", "/sign-out", "/language", "/healthz", "/readyz",
         "/metrics", "/api/worklist", "/static/node.js", "/static/../app.py", "/static/%2e%2e/app.py"]
    ),
    st.builds("/studies/{}".format, NAMES),
    st.builds("/api/studies/{}".format, NAMES),
    st.builds("/studies/{}/films/{}.png".format, NAMES, NAMES),
    st.builds("/studies/{}/films/{}/heat.png".format, NAMES, NAMES),
    st.builds("/{}studies/{}/{}".format, st.sampled_from(["", "api/"]), NAMES,
              st.sampled_from(["claim", "release", "read", "reopen", "priority", "x"])),
)  # fmt: skip
METHODS = st.sampled_from(["GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
FIELDS = st.dictionaries(
    st.sampled_from(["text", "group", "state", "page", "closed", "priority", "frozen", "back", "next", "name",
                     "password", "language"]),
    st.one_of(st.text(max_size=60), st.sampled_from(["1", "0", "stat", "none", "-1", "99999", "//x", "read"])),
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["Accept", "Authorization", "Cookie", "X-Part", "X-Forwarded-For", "X-Forwarded-User", "Host",
                     "Content-Type", "Range", "Last-Event-ID", "If-None-Match", "Sec-Fetch-Site"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
)  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    return Web(tmp_path_factory.mktemp("web"), tokens={"cxr_token": Role.ADMIN})


@pytest.fixture(scope="module")
def study(web: Web) -> str:
    return web.film(0.9, PatientID="PID7QX")


def asked(client: TestClient, study: str, method: str, path: str, query: str, **request: object) -> int:
    """The status of the answer, which is whole and dressed like every other."""
    path = path.replace("STUDY", PSEUDONYMS.study(study)).replace("UID", study)
    answer = client.request(method, path, params={"all": query} if query else None, **request)  # type: ignore[arg-type]
    assert answer.status_code < 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if answer.headers.get("content-type") == "application/json" and method != "HEAD":
        json.loads(answer.text)
    return answer.status_code


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=METHODS, path=PATHS, query=st.text(max_size=10), fields=FIELDS)
def test_whoever_may_do_everything_gets_an_answer_to_everything(
    *, web: Web, study: str, method: str, path: str, query: str, fields: dict[str, str]
) -> None:
    client = web.client(Authorization="Bearer cxr_token")
    asked(client, study, method, path, query, **({"data": fields} if method == "POST" else {}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=METHODS, path=PATHS, headers=HEADERS, body=st.binary(max_size=200))
def test_a_stranger_gets_an_answer_and_nothing_of_a_patient(
    *, web: Web, study: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    client = web.client("http://elsewhere.example.org")
    path = path.replace("STUDY", PSEUDONYMS.study(study)).replace("UID", study)
    answer = client.request(method, path, headers=headers, content=body)
    assert answer.status_code < 500
    assert "PID7QX" not in answer.text


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=FIELDS)
def test_every_form_of_an_open_page_is_answered(tmp_path: Path, fields: dict[str, str]) -> None:
    client = Web(tmp_path).client()
    answer = client.post("/worklist", data={"form_token": form_token(client), **fields})
    assert answer.status_code == 200
