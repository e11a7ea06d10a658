"""A priority that a person at a hub asks for: given by the site, once, and never over what it has decided since."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_node.domain import region
from cxr_node.domain.job import Job
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.region import Asked, Decided
from cxr_node.domain.workitem import Caller, State, Status
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.inform import Inform
from cxr_node.store import events, reading, sites
from cxr_node.store import hub as outbox
from cxr_node.ups.desk import Desk
from cxr_node.web.accounts import Role
from tests.bench import Bench, study_uid
from tests.hub import ASKING, Line, Site, act, come, hub_of, listed, site
from tests.web import PSEUDONYMS, Web, post

STUDY = study_uid(1)
ANA = Actor("ana", address="192.0.2.9")
HIGH = {"00741200": {"vr": "CS", "Value": ["HIGH"]}}
VIEWER = Caller("VIEWER", "VIEWER", "192.0.2.9")


@pytest.fixture
def hub(tmp_path: Path) -> tuple[Bench, Desk]:
    return hub_of(tmp_path / "hub", "north", "south")


@pytest.fixture
def north(tmp_path: Path, hub: tuple[Bench, Desk]) -> Site:
    """With two studies, of which the hub knows."""
    made = site(tmp_path / "north", "north", hub[1])
    for number in (1, 2):
        come(made.bench, number, made.bench.clock() + number, 0.1)
    made.tell()
    return made


def ask(at: Bench, priority: str | None, study: str = STUDY, by: Actor = ANA) -> str | None:
    at.clock.turn(1)
    with at.store.transaction() as tx:
        return reading.prioritise(tx, study, Priority(priority) if priority else None, by, at.clock())


def stands(at: Bench, study: str = STUDY) -> tuple[object, object]:
    """The priority that counts, and what is asked for: of the latter what became of it, where it is not given."""
    (entry,) = [one for one in listed(at, closed=True) if one["study_instance_uid"] == study]
    asked = entry["asked"]
    assert asked is None or isinstance(asked, dict)
    return entry["priority"], asked and (asked["refused"] or asked["priority"] or "none")


def detail(at: Bench, event: str) -> list[dict[str, object]]:
    rows = at.rows("SELECT detail FROM event WHERE event = ? ORDER BY sequence", event)
    return [json.loads(row["detail"]) for row in rows]


def test_what_is_asked_for_is_not_given_until_the_site_says_so(hub: tuple[Bench, Desk], north: Site) -> None:
    order = [entry["study_instance_uid"] for entry in listed(hub[0])]
    assert ask(hub[0], "stat", study_uid(2)) == "north"
    assert stands(hub[0], study_uid(2)) == (None, "stat")
    assert [entry["study_instance_uid"] for entry in listed(hub[0])] == order
    north.tell()
    assert stands(north.bench, study_uid(2)) == ("stat", None)
    assert stands(hub[0], study_uid(2)) == ("stat", None)
    assert listed(hub[0])[0]["study_instance_uid"] == study_uid(2)


def test_the_trails_say_who_asked_when_and_who_gave_it(hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    asked_at = hub[0].clock()
    north.tell()
    (asked,) = detail(hub[0], "worklist.asked")
    assert (asked["by"], asked["address"], asked["site"], asked["priority"]) == ("ana", "192.0.2.9", "north", "stat")
    (answered,) = detail(north.bench, "worklist.answered")
    assert (answered["by"], answered["asked_at"], answered["outcome"]) == ("ana (hub)", asked_at, "given")
    moved = detail(north.bench, "worklist.moved")[-1]
    assert (moved["by"], moved["cause"]) == ("ana (hub)", "hub")
    assert detail(hub[0], "worklist.gathered")[-1]["answer"] == "given"


def test_it_is_taken_back_as_it_was_asked_for(hub: tuple[Bench, Desk], north: Site) -> None:
    for wanted in ("stat", "routine", None):
        ask(hub[0], wanted)
        north.tell()
        assert stands(north.bench) == stands(hub[0]) == (wanted, None)


def test_what_is_asked_while_the_line_is_down_is_given_when_it_is_back(hub: tuple[Bench, Desk], north: Site) -> None:
    north.line.away = True
    ask(hub[0], "stat")
    with pytest.raises(Transient):
        north.tell()
    assert stands(hub[0]) == (None, "stat")
    ask(hub[0], "high")  # the last word counts
    north.line.away = False
    north.tell()
    assert stands(north.bench) == stands(hub[0]) == ("high", None)
    assert len(detail(north.bench, "worklist.answered")) == 1


def test_a_later_decision_of_the_site_stands(hub: tuple[Bench, Desk], north: Site) -> None:
    north.line.away = True
    ask(hub[0], "stat")
    act(north.bench, "high", STUDY)
    act(north.bench, "routine", STUDY)
    north.line.away = False
    north.tell()
    assert stands(north.bench) == ("routine", None)
    assert stands(hub[0]) == ("routine", "decided")
    ask(hub[0], "stat")  # by who has seen that now
    north.tell()
    assert stands(north.bench) == stands(hub[0]) == ("stat", None)


def test_a_decision_that_leads_back_to_what_stood_is_one_too(hub: tuple[Bench, Desk], north: Site) -> None:
    north.line.away = True
    ask(hub[0], "stat")
    act(north.bench, "high", STUDY)
    with north.bench.store.transaction() as tx:
        reading.prioritise(tx, STUDY, None, Actor("reader"), north.bench.clock())
    north.line.away = False
    north.tell()
    assert stands(north.bench) == (None, None)
    assert stands(hub[0]) == (None, "decided")


def test_where_the_site_has_decided_the_same_it_is_given(hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    act(north.bench, "stat", STUDY)
    north.tell()
    assert stands(hub[0]) == stands(north.bench) == ("stat", None)


def test_a_study_that_has_been_read_meanwhile_is_left_alone(hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    act(north.bench, "read", STUDY)
    north.tell()
    assert stands(hub[0]) == (None, "closed")
    assert stands(north.bench) == (None, None)
    with pytest.raises(Permanent, match="it is read"):
        ask(hub[0], "high")


def test_a_crash_before_the_job_is_done_gives_it_once(hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    Inform(north.bench.store, north.line, north.bench.clock).run(Job(1, "inform", "hub", "", 1, "token"))
    assert stands(north.bench) == (None, None)  # the process died with what it had heard
    north.tell()
    north.tell()
    assert stands(hub[0]) == ("stat", None)
    assert len(detail(north.bench, "worklist.answered")) == 1


def test_a_hub_that_was_put_back_asks_again_and_is_told_again(hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    north.tell()
    act(north.bench, "routine", STUDY)
    north.tell()
    with hub[0].store.transaction() as tx:  # as in a copy of before it was answered
        tx.execute("UPDATE asked SET outcome = NULL")
        tx.execute("UPDATE worklist_entry SET priority = NULL WHERE study_instance_uid = ?", (STUDY,))
    assert stands(hub[0]) == (None, "stat")
    north.tell()
    assert stands(north.bench) == ("routine", None)
    assert stands(hub[0])[0] == "routine"
    assert len(detail(north.bench, "worklist.answered")) == 1
    asked = len(north.line.calls)
    north.tell()
    assert north.line.calls[asked:] == ["asked"]


def test_a_hub_that_was_lost_asks_anew(tmp_path: Path, hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    north.tell()
    other, north.line.at = hub_of(tmp_path / "other", "north")
    with north.bench.store.transaction() as tx:
        outbox.begin_again(tx)
    north.tell()
    assert stands(other) == ("stat", None)
    ask(other, "routine")
    north.tell()
    assert stands(other) == stands(north.bench) == ("routine", None)


def test_a_site_hears_what_is_asked_of_it_alone(tmp_path: Path, hub: tuple[Bench, Desk], north: Site) -> None:
    south = site(tmp_path / "south", "south", hub[1])
    come(south.bench, 3, 100.0, 0.1)
    south.tell()
    ask(hub[0], "stat")
    assert list(north.line.asked()) == [STUDY]
    assert south.line.asked() == {}
    north.tell()
    assert north.line.asked() == {}


def test_what_is_asked_for_a_study_that_is_not_here_is_left_alone(hub: tuple[Bench, Desk], north: Site) -> None:
    class Mistaken(Line):
        def asked(self) -> dict[str, Asked]:
            return {study_uid(9): Asked("1.2.9", Priority.STAT, "ana", 1.0, 0)}

    before = north.bench.events()
    replace(north, line=Mistaken(hub[1], "north")).tell()
    assert north.bench.events() == before


def test_another_system_asks_by_a_workitem(hub: tuple[Bench, Desk], north: Site) -> None:
    uid = north.bench.rows("SELECT uid FROM workitem WHERE study_instance_uid = ?", STUDY)[0]["uid"]
    desk = replace(hub[1], by_web=False)
    reply = desk.set(uid, HIGH, VIEWER)
    assert (reply.status, reply.comment) == (Status.COERCED, "it is asked of north, and counts when given there")
    assert stands(hub[0]) == (None, "high")
    north.tell()
    assert stands(north.bench) == stands(hub[0]) == ("high", None)
    for said, status in (
        ({"00741200": {"vr": "CS", "Value": ["SOON"]}}, Status.INVALID_VALUE),
        (HIGH | {"00400400": {"vr": "LT", "Value": ["a word"]}}, Status.PROCESSING_FAILURE),
        (HIGH | {"00081195": {"vr": "UI", "Value": ["1.2.3"]}}, Status.NOT_IN_PROGRESS),
    ):
        assert desk.set(uid, said, VIEWER).status is status
    act(north.bench, "claim", STUDY)
    north.tell()
    assert desk.set(uid, HIGH, VIEWER).status is Status.WRONG_TRANSACTION
    assert len(detail(hub[0], "worklist.asked")) == 1


def test_what_is_asked_for_stands_in_the_workitem_and_is_kept_apart(hub: tuple[Bench, Desk], north: Site) -> None:
    ask(hub[0], "stat")
    (found,) = hub[1].find_whole(ASKING, VIEWER)
    asked = region.asked(found)
    assert asked is not None
    assert (asked.priority, asked.by, asked.over) == (Priority.STAT, "ana", 0)
    assert all("asked" not in row["said"] for row in hub[0].rows("SELECT said FROM workitem"))
    assert all(north.line.look(row["uid"]) is State.SCHEDULED for row in north.bench.rows("SELECT uid FROM workitem"))


@pytest.mark.parametrize(("language", "open_", "decided", "closed"), [
    ("en", "asked of north: STAT (ana,", "north had decided itself; not given: none", "north had closed the study"),
    ("es", "pedida a north: ", "north ya había decidido; no se ha dado: ", "north había cerrado"),
])  # fmt: skip
def test_the_page_says_what_is_asked_and_what_became_of_it(
    tmp_path: Path, language: str, open_: str, decided: str, closed: str
) -> None:
    web = Web(tmp_path, users={"ana": Role.READER, "viv": Role.VIEWER}, facts={"language": language})
    uid = web.film(0.9)
    with web.bench.store.transaction() as tx:
        tx.execute("UPDATE worklist_entry SET site = 'north'")
        tx.execute("DELETE FROM instance")  # a hub has no films of sites
    reader, path = web.signed_in("ana"), f"/studies/{PSEUDONYMS.study(uid)}"
    assert post(reader, f"{path}/priority", priority="stat", back="list").status_code == 303
    page = reader.get("/").text
    assert open_ in page
    assert (f'action="{path}/priority"' in page, "/claim" in page) == (True, False)
    assert f'action="{path}' not in web.signed_in("viv").get("/").text
    assert post(reader, f"{path}/claim", back="list").status_code == 409
    (entry,) = reader.get("/api/worklist").json()
    assert (entry["priority"], entry["asked"]["priority"], entry["asked"]["by"]) == (None, "stat", "ana")
    post(reader, f"{path}/priority", priority="none", back="list")
    for outcome, said in (("decided", decided), ("closed", closed)):
        with web.bench.store.transaction() as tx:
            tx.execute("UPDATE asked SET outcome = ?", (outcome,))
            events.append(tx, web.bench.clock(), "worklist.gathered", uid)
        assert said in reader.get("/").text


def test_a_site_that_comes_to_hear_is_remembered(hub: tuple[Bench, Desk], north: Site) -> None:
    with hub[0].store.reading() as tx:
        assert sites.heard_at(tx, "north") == hub[0].clock()
        assert sites.heard_at(tx, "south") is None
        assert sites.counts(tx, "north") == {"open": 2, "asked": 0}
    ask(hub[0], "stat")
    with hub[0].store.reading() as tx:
        assert sites.counts(tx, "north") == {"open": 2, "asked": 1}
    assert "worklist.viewed" not in hub[0].events()


def test_how_far_the_hub_is_behind(hub: tuple[Bench, Desk], north: Site) -> None:
    def behind() -> tuple[int, float]:
        with north.bench.store.reading() as tx:
            return outbox.behind(tx, north.bench.clock())

    assert behind() == (0, 0.0)
    act(north.bench, "stat", STUDY)
    north.bench.clock.turn(90)
    act(north.bench, "high", study_uid(2))
    assert behind() == (2, 90.0)
    with north.bench.store.transaction() as tx:
        outbox.begin_again(tx)
    assert behind() == (2, 0.0)
    north.bench.clock.turn(5)
    assert behind() == (2, 5.0)
    north.tell()
    assert behind() == (0, 0.0)


def test_who_has_told_a_hub_nothing_is_behind_with_all_that_is_open(tmp_path: Path, hub: tuple[Bench, Desk]) -> None:
    south = site(tmp_path / "south", "south", hub[1])
    come(south.bench, 1, south.bench.clock() - 50, 0.1)
    with south.bench.store.reading() as tx:
        assert outbox.behind(tx, south.bench.clock()) == (1, 50.0)


@pytest.mark.parametrize("text", [
    "[]", "{", '["1.2", "urgent", "ana", 1.0, 0]', '["1.2", "stat", "", 1.0, 0]', '["", "stat", "ana", 1.0, 0]',
    '["1.2", "stat", "ana", NaN, 0]', '["1.2", "stat", "ana", 1.0, -1]', '["1.2", "stat", "ana", 1.0, true]',
    '["1.2", "stat", "a\\u0007na", 1.0, 0]', '["1.2", "stat", 5, 1.0, 0]', "5", '["1.2", "stat", "ana", "noon", 0]',
])  # fmt: skip
def test_what_is_asked_in_no_form_is_refused(text: str) -> None:
    said = {"00741210": {"vr": "SQ", "Value": [region.asking(Asked("1.2", Priority.STAT, "ana", 1.0, 0))]}}
    assert region.asked(said) == Asked("1.2", Priority.STAT, "ana", 1.0, 0)
    said["00741210"]["Value"][0]["0040A160"]["Value"] = [text]  # type: ignore[index]
    with pytest.raises(ValueError, match="asked is not what it should be"):
        region.asked(said)


@pytest.mark.parametrize("text", ["[]", '[1, "1.2", "done"]', '[-1, "", null]', '["1", "", null]', "{", "null"])
def test_what_a_site_decided_in_no_form_is_refused(hub: tuple[Bench, Desk], north: Site, text: str) -> None:
    (row,) = hub[0].rows("SELECT uid, said FROM workitem WHERE study_instance_uid = ?", STUDY)
    said = json.loads(row["said"])
    assert region.decided(said) == Decided()
    (item,) = [
        one for one in said["00741210"]["Value"] if one["0040A043"]["Value"][0]["00080100"]["Value"] == ["decided"]
    ]
    item["0040A160"]["Value"] = [text]
    with pytest.raises(ValueError, match="decided is not what it should be"):
        region.decided(said)
    with pytest.raises(Permanent, match="decided is not what it should be"):
        north.line.update(row["uid"], {"00741210": said["00741210"]}, None)


def test_a_site_of_an_older_release_says_nothing_of_decisions() -> None:
    assert region.decided({}) == Decided(0, "", None)
    assert region.asked({}) is None
