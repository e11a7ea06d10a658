"""Who is let in to the web page, as whom, and what a request must carry."""

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from cxr_node.errors import Permanent
from cxr_node.web import accounts
from cxr_node.web.access import FORM_COOKIE, SESSION_COOKIE
from cxr_node.web.accounts import Account, Role
from cxr_node.web.attempts import Attempts
from cxr_node.web.guard import MOST_BYTES
from cxr_node.web.sessions import Sessions
from tests.bench import Clock
from tests.web import PASSWORD, PSEUDONYMS, Web, form_token, post

USERS = {"vera": Role.VIEWER, "ana": Role.READER, "root": Role.ADMIN}


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path, users=dict(USERS), tokens={"cxr_token": Role.VIEWER})


def details(web: Web, event: str) -> list[dict[str, Any]]:
    return [json.loads(row["detail"]) for row in web.bench.rows("SELECT detail FROM event WHERE event = ?", event)]


# -- nobody


@pytest.mark.parametrize("path", ["/", "/health", "/studies/s-abc", "/studies/1.2.3"])
def test_a_page_sends_a_stranger_to_sign_in_and_back(web: Web, path: str) -> None:
    answer = web.client().get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


@pytest.mark.parametrize(
    "path", ["/api/worklist", "/api/studies/1.2.3", "/api/events", "/metrics", "/studies/s-a/films/0123456789ab.png"]
)
def test_a_program_that_is_not_known_gets_nothing(web: Web, path: str) -> None:
    uid = web.film(0.9)
    answer = web.client().get(path)
    assert answer.status_code in (303, 401)
    assert uid not in answer.text


def test_health_is_for_everybody_and_says_nothing_of_anybody(web: Web) -> None:
    uid = web.film()
    for path, said in (("/healthz", {"alive": True}), ("/readyz", web.ready)):
        answer = web.client().get(path)
        assert (answer.status_code, answer.json()) == (200, said)
        assert uid not in answer.text


def test_without_users_it_is_open_to_those_who_ask_for_this_machine(tmp_path: Path) -> None:
    web = Web(tmp_path)
    for host in ("http://localhost", "http://127.0.0.1:8080"):
        assert web.client(host).get("/").status_code == 200
    assert web.client("http://rebound.example.org").get("/api/worklist").status_code == 401


# -- signing in


def test_signing_in_and_out_and_what_is_recorded(web: Web) -> None:
    client = web.signed_in("ana", address="192.0.2.9")
    assert "ana" in client.get("/").text
    assert post(client, "/sign-out").headers["location"] == "/sign-in"
    assert client.get("/").status_code == 303
    assert web.events("user.") == ["user.signed_in", "user.signed_out"]
    assert details(web, "user.signed_in") == [{"by": "ana", "address": "192.0.2.9"}]


def test_a_session_that_was_signed_out_of_is_over_also_for_a_copy_of_its_cookie(web: Web) -> None:
    client = web.signed_in("ana")
    copied = client.cookies[SESSION_COOKIE]
    post(client, "/sign-out")
    other = web.client()
    other.cookies.set(SESSION_COOKIE, copied)
    assert other.get("/").status_code == 303


@pytest.mark.parametrize(("name", "password"), [("ana", "wrong horse battery"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_name_or_password(web: Web, name: str, password: str) -> None:
    client = web.client()
    answer = post(client, "/sign-in", page="/sign-in", name=name, password=password)
    assert answer.status_code == 403
    assert "Name or password is wrong." in answer.text
    assert SESSION_COOKIE not in client.cookies
    (told,) = details(web, "user.sign_in_failed")
    assert told["by"] == ("ana" if name == "ana" else "unknown"), "what else was typed may be a password"


def test_who_fails_too_often_waits_and_so_does_the_name(web: Web) -> None:
    for _ in range(5):
        post(web.client(), "/sign-in", page="/sign-in", name="ana", password="wrong horse battery")
    here = post(web.client(), "/sign-in", page="/sign-in", name="root", password=PASSWORD)
    elsewhere = post(web.client(address="192.0.2.5"), "/sign-in", page="/sign-in", name="ana", password=PASSWORD)
    for answer in (here, elsewhere):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 300
    assert len(web.events("user.sign_in_failed")) == 5
    web.bench.clock.turn(301)
    web.signed_in("ana")


def test_a_removed_user_a_new_password_or_another_role_ends_sessions(web: Web) -> None:
    client = web.signed_in("ana")
    web.write_users(ana=accounts.hashed("another password"))
    assert client.get("/").status_code == 303
    web.write_users()
    client = web.signed_in("ana")
    del web.users["ana"]
    web.write_users()
    assert client.get("/").status_code == 303


def test_a_session_runs_out(web: Web) -> None:
    client = web.signed_in("ana")
    web.bench.clock.turn(3601)
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("next_page", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", ""])
def test_signing_in_leads_to_no_other_site(web: Web, next_page: str) -> None:
    answer = post(web.client(), "/sign-in", page="/sign-in", name="ana", password=PASSWORD, next=next_page)
    assert answer.headers["location"] == "/"


def test_a_forged_cookie_is_none(tmp_path: Path) -> None:
    clock = Clock()
    ours, theirs = Sessions(b"a" * 32, clock, 60, set()), Sessions(b"b" * 32, clock, 60, set())
    account = Account("ana", Role.ADMIN, "x")
    assert ours.read(ours.begin(account)) is not None
    for cookie in (theirs.begin(account), ours.begin(account)[:-1], "", "x.y", None):
        assert ours.read(cookie) is None


@pytest.mark.parametrize(("base", "secure"), [("https://localhost", True), ("http://localhost", False)])
def test_cookies_are_for_the_browser_alone_and_over_tls_for_tls_alone(web: Web, base: str, secure: bool) -> None:
    answers = [
        (client := web.client(base)).get("/sign-in"),
        post(client, "/sign-in", page="/sign-in", name="ana", password=PASSWORD),
    ]
    for answer, name in zip(answers, (FORM_COOKIE, SESSION_COOKIE), strict=True):
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(name)
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert ("Secure" in cookie) is secure


# -- forms


def test_a_request_that_no_form_of_ours_made_does_nothing(web: Web) -> None:
    study = PSEUDONYMS.study(web.film(0.9))
    client, other = web.signed_in("ana"), web.signed_in("root")
    tries: list[dict[str, Any]] = [
        {"data": {}},
        {"data": {"form_token": "0" * 64}},
        {"data": {"form_token": form_token(other)}},
        {"data": {"form_token": form_token(client)}, "headers": {"Sec-Fetch-Site": "cross-site"}},
    ]
    for one in tries:
        assert client.post(f"/studies/{study}/read", **one).status_code == 403
    assert web.events("worklist.") == ["worklist.moved", "worklist.viewed", "worklist.viewed"]


def test_what_is_no_form_is_refused(web: Web) -> None:
    client = web.signed_in("ana")
    for body in (b"\xff\xfe", b"&".join(b"a%d=1" % n for n in range(100))):
        assert client.post("/worklist", content=body).status_code == 400


# -- roles


ALLOWED = [
    ("vera", "read", 403), ("vera", "freeze", 403), ("ana", "read", 303), ("ana", "freeze", 403),
    ("root", "read", 303), ("root", "freeze", 303), ("ana", "withdraw", 403), ("root", "withdraw", 303),
    ("ana", "reinstate", 403), ("root", "reinstate", 409),
]  # fmt: skip


@pytest.mark.parametrize(("user", "action", "status"), ALLOWED)
def test_each_role_may_do_what_it_may(web: Web, user: str, action: str, status: int) -> None:
    study = PSEUDONYMS.study(web.film(0.9))
    client = web.signed_in(user)
    path = "/worklist/freeze" if action == "freeze" else f"/studies/{study}/{action}"
    assert post(client, path, frozen="1", reason="wrong patient").status_code == status


def test_a_viewer_is_offered_no_buttons(web: Web) -> None:
    web.film(0.9)
    page = web.signed_in("vera").get("/").text
    assert "data-key" not in page
    assert "/freeze" not in page


# -- tokens and proxies


def test_a_token_lets_a_program_in_without_a_form(web: Web) -> None:
    study = web.film(0.9)
    viewer = web.client(Authorization="Bearer cxr_token")
    assert viewer.get("/api/worklist").json()[0]["study_instance_uid"] == study
    assert viewer.get("/metrics").status_code == 200
    assert viewer.post(f"/api/studies/{study}/read").status_code == 403


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic cxr_token", f"Bearer {PASSWORD}"])
def test_a_wrong_token(web: Web, header: str) -> None:
    answer = web.client(Authorization=header).get("/api/worklist")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_tokens_cannot_be_tried_without_end(web: Web) -> None:
    client = web.client(Authorization="Bearer wrong")
    statuses = [client.get("/api/worklist").status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]


def test_a_proxy_of_the_site_says_who_the_user_is_and_nobody_else_does(tmp_path: Path) -> None:
    web = Web(tmp_path, users=dict(USERS), proxies=[ipaddress.ip_network("10.0.0.0/24")])
    named = {"X-Forwarded-User": "root", "X-Forwarded-For": "192.0.2.77", "X-Forwarded-Proto": "https"}
    through = web.client("http://pacs.example.org", address="10.0.0.5", **named)
    assert "administrator" in through.get("/").text
    assert details(web, "worklist.viewed") == [{"by": "root", "address": "192.0.2.77"}]
    assert "Secure" in web.client(address="10.0.0.6", **named).get("/").headers["set-cookie"]
    assert web.client(address="10.0.1.5", **named).get("/").status_code == 303
    twice = web.client(address="10.0.0.5").get("/", headers=[("X-Forwarded-User", "root")] * 2)
    assert twice.status_code == 303
    unknown = web.client(address="10.0.0.5", **{"X-Forwarded-User": "somebody"})
    assert "viewer" in unknown.get("/").text


def test_a_caller_behind_a_proxy_does_not_say_itself_where_it_comes_from(tmp_path: Path) -> None:
    web = Web(tmp_path, users=dict(USERS), proxies=[ipaddress.ip_network("10.0.0.0/24")])
    through = web.client(address="10.0.0.5")
    own = [("X-Forwarded-User", "root"), ("X-Forwarded-For", "203.0.113.1"), ("X-Forwarded-Proto", "https")]
    proxys = [("X-Forwarded-For", "192.0.2.77"), ("X-Forwarded-Proto", "http")]
    assert "Secure" not in through.get("/", headers=[*own, *proxys]).headers["set-cookie"]
    assert details(web, "worklist.viewed") == [{"by": "root", "address": "192.0.2.77"}]


def test_behind_a_proxy_alone_nobody_signs_in_with_a_password(tmp_path: Path) -> None:
    web = Web(tmp_path, proxies=[ipaddress.ip_network("10.0.0.0/24")])
    assert "Nobody signs in here" in web.client().get("/sign-in").text
    answer = web.client().post("/sign-in", data={"name": "root", "password": PASSWORD})
    assert answer.status_code == 403


# -- every answer


def test_every_answer_forbids_what_a_page_has_no_need_of(web: Web) -> None:
    for path in ("/sign-in", "/healthz", "/static/node.js", "/nothing/there"):
        headers = web.client().get(path).headers
        assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cache-control"] == "no-store"
    assert "max-age" in web.client("https://localhost").get("/healthz").headers["strict-transport-security"]


def test_no_page_has_a_script_or_a_style_inside(web: Web) -> None:
    client = web.signed_in("root")
    study = PSEUDONYMS.study(web.film(0.9))
    for path in ("/", f"/studies/{study}", "/health"):
        page = client.get(path).text
        assert page.count("<script") == page.count('<script src="/static/node.js" defer></script>') == 1
        assert " style=" not in page
        assert " onclick" not in page


def test_a_request_that_is_too_large_is_refused(web: Web) -> None:
    client = web.client()
    assert client.post("/sign-in", content=b"a" * (MOST_BYTES + 1)).status_code == 413
    chunks = (b"a" * 1000 for _ in range(MOST_BYTES // 1000 + 2))
    assert client.post("/sign-in", content=chunks).status_code == 413


# -- the files


def test_a_file_of_accounts_that_cannot_be_used_says_where_and_never_what(tmp_path: Path) -> None:
    path = tmp_path / "users"
    cases = ["secretword", "ana:boss:scrypt$x$y", "ana:reader:secretword", "a b:reader:scrypt$x$y"]
    for text in [*cases, f"{cases[3][4:]}"]:
        path.write_text(f"# people\n{text}\n")
        path.chmod(0o600)
        with pytest.raises(Permanent) as refused:
            accounts.load(path)
        assert refused.value.code == "ACCOUNTS"
        assert "line 2" in refused.value.message
        assert "secretword" not in refused.value.message
    path.write_text("ana:reader:scrypt$a$b\nana:admin:scrypt$a$b\n")
    with pytest.raises(Permanent, match="line 2: a second account"):
        accounts.load(path)
    path.chmod(0o644)
    with pytest.raises(Permanent, match="chmod 640"):
        accounts.load(path)
    with pytest.raises(Permanent, match="cannot be read"):
        accounts.load(tmp_path / "missing")


def test_accounts_that_cannot_be_used_let_nobody_in_and_a_page_says_so(web: Web) -> None:
    client = web.signed_in("ana")
    web.users_file.chmod(0o644)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "chmod 640" in answer.text


def test_passwords_are_kept_as_slow_hashes_with_a_salt() -> None:
    one, two = accounts.hashed(PASSWORD), accounts.hashed(PASSWORD)
    assert one != two
    assert PASSWORD not in one
    for secret in (one, two):
        assert accounts.is_password(PASSWORD, Account("ana", Role.READER, secret))
        assert not accounts.is_password(PASSWORD + "x", Account("ana", Role.READER, secret))
    assert not accounts.is_password("token", Account("p", Role.READER, accounts._token_hash("token")))
    with pytest.raises(Permanent, match="at least 10"):
        accounts.hashed("short")


def test_attempts_are_forgotten_in_time_and_bounded() -> None:
    clock = Clock()
    attempts = Attempts(clock, most=2, seconds=60)
    attempts.failed("a")
    clock.turn(59)
    attempts.failed("a")
    assert attempts.wait("a", "b") == 1
    clock.turn(2)
    assert attempts.wait("a") == 0
    for number in range(20_000):
        attempts.failed(str(number))
    assert len(attempts._failures) == 10_000
    attempts.failed("a")
    attempts.failed("a")
    attempts.forget("a")
    assert attempts.wait("a") == 0
