"""The pages of a running node in a real browser: live, by mouse and by keys, in both languages, for everybody."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from axe_core_python.selenium import Axe
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.select import Select
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from cxr_node.config import Config
from cxr_node.store import events, worklist
from cxr_node.web.app import build
from tests.bench import header
from tests.browser import all_of, browser, one
from tests.certificates import Authority
from tests.films import chest, lateral
from tests.node import Node, free_port, wait_for
from tests.unit.test_web_server import serving
from tests.web import PSEUDONYMS, Web

pytestmark = pytest.mark.browser

T = TypeVar("T")
PASSWORD = "correct horse battery"
SERIOUS = ("serious", "critical")


class WebNode(Node):
    """A node that serves its pages."""

    def __init__(self, folder: Path, **overrides: Any) -> None:
        self.web_port = free_port()
        super().__init__(folder, web__enabled=True, web__port=self.web_port, **overrides)

    @property
    def web(self) -> str:
        return f"http://localhost:{self.web_port}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebNode]:
    """Analyses; its threshold is so low that every film it judges is a finding."""
    folder = tmp_path_factory.mktemp("node")
    settings: dict[str, Any] = {"model__thresholds": {"pneumonia": 0.01}, "worklist__tiers": {"high": 0.01}}
    with WebNode(folder, **settings) as running:
        running.analysing()
        wait_for(lambda: running.logged("web.ready"), what="a web page")
        running.send(lateral(AccessionNumber="LATERAL"))
        running.send(chest(AccessionNumber="FIRST"))
        running.wait_idle()
        yield running


@pytest.fixture
def driver(node: WebNode) -> Iterator[WebDriver]:
    with browser() as driver:
        driver.get(node.web)
        yield driver


def order(driver: WebDriver) -> list[str]:
    """Accession numbers as they stand on the page."""
    script = "return [...document.querySelectorAll('tr .open')].map(a => a.textContent)"
    return list(driver.execute_script(script))


def row(driver: WebDriver, accession: str) -> str:
    """The selector of a study's row."""
    script = (
        "return [...document.querySelectorAll('tr')]"
        ".find(row => row.querySelector('.open')?.textContent === arguments[0])?.dataset.study"
    )
    name = wait_for(lambda: driver.execute_script(script, accession), what=f"a row of {accession}")
    return f'tr[data-study="{name}"]'


def state(driver: WebDriver, accession: str) -> str:
    return steady(lambda: one(driver, f"{row(driver, accession)} .state").text).replace("\n", " ")


def press(driver: WebDriver, accession: str, action: str) -> None:
    steady(one_click(driver, f"{row(driver, accession)} [data-key={action}]"))


def one_click(driver: WebDriver, selector: str) -> Callable[[], None]:
    return lambda: one(driver, selector).click()


def choose(driver: WebDriver, selector: str, value: str) -> None:
    steady(lambda: Select(one(driver, selector)).select_by_value(value))


def steady(act: Callable[[], T]) -> T:
    """What `act` gives; again where the page took away what it had found, to put something newer there."""
    for _ in range(20):
        with suppress(StaleElementReferenceException, NoSuchElementException):
            return act()
        time.sleep(0.1)
    return act()


def test_a_film_moves_to_its_place_within_a_second_of_its_result_without_a_reload(
    node: WebNode, driver: WebDriver
) -> None:
    assert order(driver)[-1] == "LATERAL"
    driver.execute_script("window.stillHere = true")
    took: list[float] = []
    while sum(each < 1.0 for each in took) < 2:  # the machine may be busy with other things, but not each time
        number = len(took)
        assert number < 10, took
        accession = f"LIVE{number}"
        film = chest(AccessionNumber=accession)
        node.send(film)
        analysed = wait_for(
            lambda uid=str(film.StudyInstanceUID): node.rows(
                "SELECT time FROM event WHERE event = 'worklist.moved' AND study_instance_uid = ?", uid
            ), what="a result",
        )[0]["time"]  # fmt: skip
        wait_for(lambda text=accession: text in order(driver)[:-1], what="the film in its place")
        took.append(time.time() - analysed)
    assert driver.execute_script("return window.stillHere")
    assert order(driver)[-1] == "LATERAL", "by arrival, behind what was promoted"


def test_claim_read_reopen_and_priority_with_the_mouse(node: WebNode, driver: WebDriver) -> None:
    press(driver, "LATERAL", "claim")
    wait_for(lambda: "being read local" in state(driver, "LATERAL"))
    choose(driver, f"{row(driver, 'LATERAL')} select", "stat")
    wait_for(lambda: order(driver)[0] == "LATERAL", what="STAT in front")
    press(driver, "LATERAL", "read")
    wait_for(lambda: "LATERAL" not in order(driver), what="a list without what was read")
    choose(driver, "#wanted [name=state]", "read")
    wait_for(lambda: order(driver) == ["LATERAL"])
    press(driver, "LATERAL", "reopen")
    choose(driver, "#wanted [name=state]", "")
    wait_for(lambda: "LATERAL" in order(driver))
    choose(driver, f"{row(driver, 'LATERAL')} select", "none")
    wait_for(lambda: order(driver)[-1] == "LATERAL")


def test_who_comes_too_late_is_told_so(node: WebNode, driver: WebDriver) -> None:
    node.send(chest(AccessionNumber="WANTED"))
    name = row(driver, "WANTED")
    node.command("read", name.split('"')[1])
    with browser() as other:
        other.get(node.web)
        script = "return document.querySelector('[name=form_token]').value"
        token = other.execute_script(script)
        answer = other.execute_async_script(
            "fetch(arguments[0], {method: 'POST', headers: {Accept: 'application/json'}, body: new URLSearchParams("
            "{form_token: arguments[1]})}).then(a => a.json()).then(arguments[2])",
            f"/studies/{name.split(chr(34))[1]}/claim", token,
        )  # fmt: skip
    assert answer["error"] == "STUDY_CLOSED"
    assert answer["message"] == "This study has left the worklist."


def test_by_keys_alone(node: WebNode, driver: WebDriver) -> None:
    keys = ActionChains(driver)
    keys.send_keys("j").perform()
    focused = "return document.activeElement.closest('tr')?.dataset.position"
    assert driver.execute_script(focused) == "1"
    keys.send_keys("j").perform()
    assert driver.execute_script(focused) == "2"
    keys.send_keys("k", "c").perform()
    first = order(driver)[0]
    wait_for(lambda: "being read" in state(driver, first))
    wait_for(lambda: driver.execute_script(focused) == "1", what="the focus where it was")
    keys.send_keys("c").perform()
    wait_for(lambda: "analysed" in state(driver, first))
    keys.send_keys("/").perform()
    keys.send_keys("LATER").perform()
    wait_for(lambda: order(driver) == ["LATERAL"])
    assert "LATER" not in driver.current_url
    keys.send_keys(Keys.ESCAPE).perform()
    keys.send_keys(Keys.ENTER).perform()
    wait_for(lambda: "/studies/s-" in driver.current_url)


def test_of_a_study_that_was_read_by_key_the_focus_goes_on_to_the_next(tmp_path: Path) -> None:
    web = Web(tmp_path)
    for accession in ("A", "B", "C"):
        web.film(0.9, AccessionNumber=accession)
    with serving(web) as port, browser() as driver:
        driver.get(f"http://localhost:{port}")
        focused = "return document.activeElement.closest('tr')?.querySelector('.open').textContent"
        for left in (["A", "C"], ["A"]):
            ActionChains(driver).send_keys("j").perform()
            if left == ["A", "C"]:
                ActionChains(driver).send_keys("j").perform()
            ActionChains(driver).send_keys("r").perform()
            wait_for(lambda: order(driver) == left, what="a list without it")  # noqa: B023 - it is called in this round
            assert driver.execute_script(focused) == left[-1]


def test_the_focus_stays_where_somebody_works_with_keys(tmp_path: Path) -> None:
    web = Web(tmp_path)
    name = PSEUDONYMS.study(web.film(0.9, AccessionNumber="A"))
    with serving(web) as port, browser() as driver:
        driver.get(f"http://localhost:{port}")
        wait_for(lambda: order(driver) == ["A"])
        driver.execute_script("document.querySelector('#list select').focus()")
        ActionChains(driver).send_keys(Keys.ARROW_UP).perform()
        wait_for(lambda: "routine" in state(driver, "A"), what="a priority")
        assert driver.execute_script("return document.activeElement.textContent") == "A"
        driver.get(f"http://localhost:{port}/studies/{name}")
        for key, then in (("claim", "being read"), ("release", "analysed")):
            driver.execute_script("document.querySelector(`[data-key=${arguments[0]}]`).focus()", key)
            ActionChains(driver).send_keys(Keys.ENTER).perform()
            wait_for(lambda: then in steady(lambda: one(driver, "#standing").text))  # noqa: B023 - called in this round
            assert driver.execute_script("return document.activeElement.id") == "standing"
            ActionChains(driver).send_keys(Keys.TAB).perform()
            assert driver.execute_script("return document.activeElement.closest('#standing') !== null")


def test_a_reason_that_is_being_written_stays_until_it_is_sent(tmp_path: Path) -> None:
    web = Web(tmp_path)
    uid = web.film(0.9, AccessionNumber="A")
    with serving(web) as port, browser() as driver:
        driver.get(f"http://localhost:{port}/studies/{PSEUDONYMS.study(uid)}")
        driver.execute_script(
            "document.querySelector('[name=reason]').value = 'wrong patient'"
        )  # the focus is elsewhere
        with web.bench.store.transaction() as tx:
            events.append(tx, web.bench.clock(), "document.sent", uid, kind="sr", destination="pacs")
        wait_for(lambda: "→ pacs" in steady(lambda: one(driver, "#events").text), what="what happened meanwhile")
        assert one(driver, "[name=reason]").get_attribute("value") == "wrong patient"
        one(driver, "[data-key=withdraw]").click()
        wait_for(lambda: "withdrawn by local: wrong patient" in steady(lambda: one(driver, "#standing").text))


def test_what_is_pressed_while_the_node_is_away_is_said_to_be_lost(tmp_path: Path) -> None:
    web = Web(tmp_path)
    name = PSEUDONYMS.study(web.film(0.9, AccessionNumber="A"))
    with browser() as driver:
        with serving(web) as port:
            driver.get(f"http://localhost:{port}/studies/{name}")
            wait_for(lambda: driver.execute_script("return document.readyState") == "complete")
        lost = "The connection to the node is lost"
        wait_for(lambda: [lost in one.text for one in all_of(driver, ".lost")] == [True], what="a page that says so")
        one(driver, "[data-key=claim]").click()
        wait_for(
            lambda: [lost in one.text for one in all_of(driver, ".said")] == [True], what="an answer to the button"
        )
        assert "analysed" in one(driver, "#standing").text


def test_a_node_that_is_busy_for_a_moment_takes_the_list_from_nobody(tmp_path: Path) -> None:
    web, refused = Web(tmp_path), list[str]()
    node = web.app

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/worklist" and not refused:
            refused.append(scope["path"])
            await PlainTextResponse("busy", 503)(scope, receive, send)
        else:
            await node(scope, receive, send)

    web.app = busy  # type: ignore[assignment]
    web.film(0.9, AccessionNumber="FIRST")
    with serving(web) as port, browser() as driver:
        driver.get(f"http://localhost:{port}")
        driver.execute_script("window.stillHere = true")
        wait_for(lambda: refused, what="a refusal")
        web.film(0.9, AccessionNumber="SECOND")
        wait_for(lambda: order(driver) == ["FIRST", "SECOND"], 40, "the list")
        assert driver.execute_script("return window.stillHere")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
def test_a_long_list_is_turned_over_and_searched(tmp_path: Path, *, script: bool) -> None:
    web = Web(tmp_path)
    with web.bench.store.transaction() as tx:
        for number in range(250):
            worklist.arrive(tx, header(number, accession_number=f"A{number:03}"), time.time() + number / 1000 - 60)
    with serving(web) as port, browser() as driver:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        driver.get(f"http://localhost:{port}")

        def shows(first: str, count: int, page: str) -> bool:
            links = re.findall('class="open"[^>]*>([^<]*)<', driver.page_source)
            return links[:1] == [first] and len(links) == count and page in steady(lambda: one(driver, "#count").text)

        def turn(word: str) -> None:
            steady(lambda: one(driver, f".pages button:{word}-child").click())

        wait_for(lambda: shows("A000", 100, "page 1 of 3"))
        turn("last")
        wait_for(lambda: shows("A100", 100, "page 2 of 3"), what="the second page")
        turn("last")
        wait_for(lambda: shows("A200", 50, "page 3 of 3"), what="the third page")
        turn("first")
        wait_for(lambda: shows("A100", 100, "page 2 of 3"), what="the second page again")
        if script:  # without, a search asks for the page that stands in the form
            steady(lambda: one(driver, "[name=text]").send_keys("A24"))
            wait_for(lambda: shows("A240", 10, "10 studies"), what="what was searched for")


def test_an_answer_that_was_overtaken_by_a_newer_one_is_not_shown(tmp_path: Path) -> None:
    web, late = Web(tmp_path), threading.Event()
    node = web.app

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the first question only after the second."""
        if scope["type"] == "http" and scope["path"] == "/worklist" and not first:
            first.append(True)
            while not late.is_set():
                await asyncio.sleep(0.02)
        await node(scope, receive, send)

    first: list[bool] = []
    web.app = slow  # type: ignore[assignment]
    web.film(0.9, AccessionNumber="OPEN")
    with serving(web) as port, browser() as driver:
        web.film(0.9, AccessionNumber="DONE")
        driver.get(f"http://localhost:{port}")
        wait_for(lambda: first, what="a question")  # of the stream, once it is there
        choose(driver, "#wanted [name=group]", "overdue")
        wait_for(lambda: order(driver) == [], what="the answer to the newer one")
        time.sleep(1.0)  # nothing is asked any more that would set it right
        late.set()
        time.sleep(1.0)
        assert order(driver) == []


def test_freezing_puts_everything_in_the_order_of_arrival(node: WebNode, driver: WebDriver) -> None:
    assert order(driver)[-1] == "LATERAL"
    steady(one_click(driver, ".freeze button"))
    wait_for(lambda: order(driver)[:1] == ["LATERAL"])
    assert "The list is frozen" in steady(lambda: one(driver, ".notice").text)
    steady(one_click(driver, ".freeze button"))
    wait_for(lambda: order(driver)[-1:] == ["LATERAL"])


def test_the_film_is_windowed_inverted_zoomed_and_its_heat_map_faded(node: WebNode, driver: WebDriver) -> None:
    steady(one_click(driver, f"{row(driver, 'FIRST')} .open"))
    wait_for(lambda: driver.execute_script("return document.querySelector('.picture')?.naturalWidth > 0"))
    assert driver.execute_script("return document.querySelector('.heat').naturalWidth") > 0

    def slope() -> float:
        return float(driver.execute_script("return document.querySelector('feFuncR').getAttribute('slope')"))

    def css(selector: str, name: str) -> str:
        return str(driver.execute_script(f"return getComputedStyle(document.querySelector('{selector}')).{name}"))

    assert slope() == 1
    ActionChains(driver).drag_and_drop_by_offset(one(driver, ".stage"), -80, 0).perform()
    assert slope() > 1.3, "a narrower window has more contrast"
    ActionChains(driver).send_keys("i").perform()
    assert slope() < -1.3
    opacity = float(css(".heat", "opacity"))
    one(driver, "[data-control=heat]").send_keys(Keys.HOME)
    assert opacity > 0.3
    assert float(css(".heat", "opacity")) == 0
    one(driver, "[data-control=closer]").click()
    assert "1.4" in css(".sheet", "transform")
    one(driver, "[data-control=reset]").click()
    assert slope() == 1
    assert css(".sheet", "transform").startswith("matrix(1, 0, 0, 1")


def test_a_study_page_is_live_too(node: WebNode, driver: WebDriver) -> None:
    steady(one_click(driver, f"{row(driver, 'FIRST')} .open"))
    name = driver.current_url.rpartition("/")[2]
    node.command("priority", name, "stat")
    wait_for(lambda: "STAT" in steady(lambda: one(driver, "#standing").text))
    wait_for(lambda: "priority set" in steady(lambda: one(driver, "#events").text))
    node.command("priority", name, "none")


def test_a_page_behind_a_proxy_comes_back_when_the_node_does(tmp_path: Path) -> None:
    web, refused = Web(tmp_path), list[str]()
    node = web.app

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        """Has nobody behind it when it is first asked for what happens."""
        if scope["type"] == "http" and scope["path"] == "/api/events" and not refused:
            refused.append(scope["path"])
            await PlainTextResponse("nobody answers", 502)(scope, receive, send)
        else:
            await node(scope, receive, send)

    web.app = proxy  # type: ignore[assignment]
    with serving(web) as port, browser() as driver:
        driver.get(f"http://localhost:{port}")
        wait_for(lambda: refused and all_of(driver, ".lost"), what="a page that says what it lost")
        wait_for(lambda: not all_of(driver, ".lost"), what="the node again")
        web.film(0.9, AccessionNumber="LATER")
        wait_for(lambda: "LATER" in order(driver), what="a page that is live")


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_refused(node: WebNode, driver: WebDriver) -> None:
    steady(one_click(driver, f"{row(driver, 'FIRST')} .open"))
    wait_for(lambda: driver.execute_script("return document.readyState") == "complete")
    loaded = driver.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded
    assert [url for url in loaded if not url.startswith(node.web)] == []
    assert [entry["message"] for entry in driver.get_log("browser")] == []  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_fault_is_found_by_axe(node: WebNode, width: int, dark: bool) -> None:
    with browser(width, 900, dark=dark) as driver:
        driver.get(node.web)
        row(driver, "FIRST")
        study = steady(lambda: str(one(driver, ".open").get_attribute("href")))
        pages = [node.web, study, f"{node.web}/health"]
        for page in pages:
            driver.get(page)
            found = Axe().run(driver)
            faults = [
                (page, one["id"], [where["html"][:200] for where in one["nodes"]])
                for one in found["violations"] if one["impact"] in SERIOUS
            ]  # fmt: skip
            assert faults == []
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width, (
                "no sideways scrolling"
            )


def test_in_spanish(node: WebNode, driver: WebDriver) -> None:
    steady(one_click(driver, ".languages [value=es]"))
    wait_for(lambda: steady(lambda: one(driver, "h1").text) == "Lista de lectura")
    assert "Neumonía" in steady(lambda: one(driver, "table").text)
    assert driver.execute_script("return document.documentElement.lang") == "es"


def test_in_spanish_on_a_phone_nothing_reaches_beyond_the_edge(tmp_path: Path) -> None:
    """Spanish takes more room; and on the health page of this node stands all that there can be."""
    web = Web(tmp_path, facts={"language": "es"})
    web.config = Config.model_validate(
        {
            "node": {"data_dir": tmp_path, "mode": "full"}, "receive": {"port": 1}, "hl7": {"port": 2},
            "destination": [{"name": "hospital-archive", "ae_title": "PACS", "host": "127.0.0.1", "port": 1}],
            "worklist": {"hl7": [{"name": "ris", "host": "127.0.0.1", "port": 1}]}, "model": {"further": ["cxr-covid"]},
        }
    )  # fmt: skip
    web.app = build(web.site(), web.door())
    study = web.film(0.9, AccessionNumber="A" * 16, PatientID="P" * 20)
    web.film(AccessionNumber="B")
    with serving(web) as port, browser(390, 844) as driver:
        for page in ("/", f"/studies/{PSEUDONYMS.study(study)}", "/health"):
            driver.get(f"http://localhost:{port}{page}")
            assert driver.execute_script("return document.documentElement.lang") == "es"
            assert driver.execute_script("return document.documentElement.scrollWidth") == 390, page
        said = steady(lambda: one(driver, "#health").text)
        assert "hospital-archive" in said
        assert "Mensajes del RIS" in said


def test_over_https_one_signs_in_and_out(tmp_path: Path) -> None:
    own, users = Authority(tmp_path, "hospital").issue("web"), tmp_path / "users"
    settings: dict[str, Any] = {
        "web__certificate": str(own.certificate), "web__key": str(own.key), "web__users": str(users),
        "web__host": "0.0.0.0",
    }  # fmt: skip
    node = WebNode(tmp_path, **settings)
    added = node.command("user", "add", "ana", "--role", "reader", "--password", PASSWORD)
    assert added.returncode == 0, added.stderr
    with node, browser(insecure=True) as driver:
        wait_for(lambda: node.logged("web.ready"), what="a web page")
        driver.get(f"https://localhost:{node.web_port}/health")
        assert "/sign-in?next=/health" in driver.current_url
        assert all(entry["impact"] not in SERIOUS for entry in Axe().run(driver)["violations"])
        # each answer is awaited by what only it shows: the first one's mistake is still on the page
        # while the second is on its way
        for password, answer in (("wrong horse battery", ".mistake"), (PASSWORD, ".who")):
            one(driver, "[name=name]").clear()
            one(driver, "[name=name]").send_keys("ana")
            one(driver, "[name=password]").send_keys(password, Keys.ENTER)
            wait_for(lambda: all_of(driver, answer))  # noqa: B023 - it is called in this round
        assert driver.current_url.endswith("/health")
        cookies = {cookie["name"]: cookie for cookie in driver.get_cookies()}
        assert cookies["cxr_session"]["secure"]
        assert cookies["cxr_session"]["httpOnly"]
        one(driver, "form[action='/sign-out'] button").click()
        wait_for(lambda: "/sign-in" in driver.current_url)
        assert PASSWORD not in node.log()
        found = node.rows("SELECT event FROM event WHERE event LIKE 'user.%' ORDER BY sequence")
        assert [event["event"] for event in found] == ["user.sign_in_failed", "user.signed_in", "user.signed_out"]
