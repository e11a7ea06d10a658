"""From a settled study to what each destination gets: the document stages on a real store and spool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from cxr_node.config import Config
from cxr_node.dimse.sender import NoContext, Peer
from cxr_node.domain.commitment import Terms
from cxr_node.domain.outputs import Companion, Target, Taste
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass
from cxr_node.plan import Plan
from cxr_node.stages.assembly import Desk
from cxr_node.stages.companions import Companions
from cxr_node.stages.heatmap import Heatmap
from cxr_node.stages.key_objects import KeyObjects
from cxr_node.stages.report import Report
from cxr_node.store import report_classes, results
from cxr_node.worker import Lane
from tests import films
from tests.bench import CUTOFFS, deliver
from tests.documents import PROFILE, values
from tests.unit.test_stages import STEPS, Node, same_study

KINDS = ("report", "heatmap", "companions", "deliver", "key_objects")
FOLLOWING = {("full", "report"): "heatmap", ("full", "heatmap"): "companions"}


@dataclass
class Pacs:
    """A destination that takes reports in some classes; `got` is what it was sent."""

    classes: Sequence[ReportClass] = tuple(REPORT_CLASSES)
    got: list[Dataset] = field(default_factory=list)
    asked: int = 0

    def takes(self, sop_class: str) -> bool:
        return sop_class not in REPORT_CLASSES.values() or sop_class in [REPORT_CLASSES[name] for name in self.classes]


class Site(Node):
    """A node that writes everything and sends it to its destinations; `kinds`: which jobs it does first."""

    kinds: Sequence[str] = KINDS

    def document(
        self,
        tastes: Mapping[str, Taste],
        pacs: Mapping[str, Pacs],
        companions: Sequence[Companion] = (),
        *,
        key_objects: bool = False,
        promoted_alone: bool = False,
    ) -> "Site":
        self.pacs, clock = pacs, self.clock
        profile = replace(PROFILE, cutoffs=CUTOFFS)
        self.desk = Desk(
            self.store,
            self.spool,
            {"full": profile},
            {"full": tuple(tastes)},
            tastes,
            FOLLOWING,
            {},
            key_objects,
            clock,
        )
        peers = {name: Peer(name, name.upper(), "127.0.0.1", 104) for name in pacs}
        terms = {name: Terms("off", 600.0) for name in pacs}
        more: dict[str, Any] = {"tastes": tastes, "accepted": self._accepted, "key_objects": key_objects}
        stages: dict[str, Any] = {
            "report": Report(self.desk),
            "heatmap": Heatmap(self.desk),
            "companions": Companions(self.desk, {"full": companions}),
            "deliver": deliver(self, peers, terms, self._send, **more),
            "key_objects": KeyObjects(self.desk, promoted_alone),
        }
        self.worker.stages = {**self.worker.stages, **{kind: (STEPS[kind], stage) for kind, stage in stages.items()}}
        return self

    def _send(self, peer: Peer, path: Path) -> int:
        dataset = dcmread(path)
        if not self.pacs[peer.name].takes(dataset.SOPClassUID):
            raise NoContext("NO_CONTEXT", f"{peer.name} accepts no {dataset.SOPClassUID.name}")
        self.pacs[peer.name].got.append(dataset)
        return 0x0000

    def _accepted(self, peer: Peer, sop_classes: Sequence[str]) -> Sequence[str]:
        self.pacs[peer.name].asked += 1
        if taken := [each for each in sop_classes if self.pacs[peer.name].takes(each)]:
            return taken
        raise NoContext("NO_CONTEXT", f"{peer.name} accepts no report")

    def settle(self) -> "Site":
        """Judge what came, let the study settle, and do all that follows."""
        self.work()
        self.clock.turn(120)
        self.work()
        self.finish()
        return self

    def finish(self) -> None:
        for _ in range(3):
            while self.worker.run_once(Lane("all", tuple(self.kinds))):
                pass
            self.clock.turn(1)

    def got(self, name: str) -> list[str]:
        """The modalities of what a destination has got, in the order of sending."""
        return [str(one.Modality) for one in self.pacs[name].got]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def begin(site: Site, probability: float = 0.9) -> Site:
    site.begin(probability).send(films.chest(1))
    return site


def classes(pacs: Pacs) -> list[str]:
    known = {uid: name for name, uid in REPORT_CLASSES.items()}
    return [known[one.SOPClassUID] for one in pacs.got if one.SOPClassUID in known]


@pytest.mark.parametrize("text", ["1/full", "2/triage/enhanced/pacs", "3/full/pacs"])
def test_a_target_reads_as_it_is_written(text: str) -> None:
    assert str(Target.parse(text)) == text


def test_each_destination_gets_the_class_that_is_configured_for_it(site: Site) -> None:
    tastes = {"one": Taste(), "two": Taste("basic_text"), "three": Taste("basic_text"), "four": Taste(whole_image=True)}
    begin(site).document(tastes, {name: Pacs() for name in tastes}).settle()
    assert [classes(site.pacs[name]) for name in tastes] == [
        ["comprehensive_3d"], ["basic_text"], ["basic_text"], ["comprehensive_3d"],
    ]  # fmt: skip
    one, two, three, four = (site.pacs[name].got[0].SOPInstanceUID for name in tastes)
    assert two == three
    assert len({one, two, four}) == 3


@pytest.mark.parametrize(
    ("wanted", "takes", "gets"),
    [
        ("comprehensive_3d", ("comprehensive", "enhanced"), "comprehensive"),
        ("comprehensive_3d", ("basic_text",), "basic_text"),
        ("comprehensive", ("comprehensive_3d", "enhanced"), "enhanced"),
    ],
)
def test_a_class_that_is_not_accepted_is_replaced_by_the_next_one_that_is(
    site: Site, wanted: ReportClass, takes: Sequence[ReportClass], gets: str
) -> None:
    begin(site).document({"pacs": Taste(wanted)}, {"pacs": Pacs(takes)}).settle()
    assert classes(site.pacs["pacs"]) == [gets]
    assert site.got("pacs") == ["OT", "SR"]
    assert "report.class_refused" in site.events()
    with site.store.reading() as tx:
        assert results.pending_by_destination(tx) == {}
        assert report_classes.accepted(tx, "pacs", wanted, site.clock()) == gets


def test_what_a_destination_takes_is_remembered_for_a_day_and_while_the_site_wants_the_same(site: Site) -> None:
    first, second, third = (films.chest(number) for number in (1, 2, 3))
    site.begin(0.9, 0.9, 0.9).send(first)
    pacs = Pacs(("enhanced",))
    site.document({"pacs": Taste()}, {"pacs": pacs}).settle()
    site.send(second)
    site.settle()
    assert (classes(pacs), pacs.asked) == (["enhanced", "enhanced"], 1)
    with site.store.reading() as tx:
        assert report_classes.accepted(tx, "pacs", "comprehensive", site.clock()) == "comprehensive"
        assert report_classes.accepted(tx, "pacs", "comprehensive_3d", site.clock() - 90_000) == "comprehensive_3d"
    site.clock.turn(report_classes.KEPT_SECONDS)
    pacs.classes = tuple(REPORT_CLASSES)
    site.send(third)
    site.settle()
    assert classes(pacs) == ["enhanced", "enhanced", "comprehensive_3d"]


def test_a_destination_that_takes_no_report_at_all_is_a_dead_letter(site: Site) -> None:
    begin(site).document({"pacs": Taste()}, {"pacs": Pacs(())}).settle()
    assert site.got("pacs") == ["OT"]
    (failed,) = site.rows("SELECT * FROM job WHERE state = 'failed'")
    assert (failed["kind"], failed["error_code"]) == ("deliver", "NO_CONTEXT")


def test_a_revision_cites_the_report_of_its_own_class(site: Site) -> None:
    film = films.chest(1)
    site.begin(0.4, 0.9).send(film)
    site.document({"one": Taste(), "two": Taste("enhanced")}, {"one": Pacs(), "two": Pacs()}).settle()
    site.send(same_study(film, films.chest(2)))
    site.settle()
    for pacs in site.pacs.values():
        first, second = (one for one in pacs.got if one.Modality == "SR")
        assert "corrected" not in " ".join(values(second, "121106"))
        cited = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
        assert cited.SeriesInstanceUID == first.SeriesInstanceUID == second.SeriesInstanceUID
        assert cited.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_a_corrected_patient_is_a_new_revision_that_says_so(site: Site) -> None:
    film = films.chest(1)
    site.begin(0.9, 0.9).send(film)
    site.document({"pacs": Taste()}, {"pacs": Pacs()}).settle()
    site.send(films.change(films.chest(1), PatientName="Doe^Janet"))
    site.settle()
    first, second = (one for one in site.pacs["pacs"].got if one.Modality == "SR")
    assert (str(first.PatientName), str(second.PatientName)) == ("Doe1^Jane", "Doe^Janet")
    said = "Patient or order data were corrected since the previous report"
    assert said not in values(first, "121106")
    assert said in values(second, "121106")
    assert "PredecessorDocumentsSequence" in second


def test_one_film_that_is_corrected_names_the_patient_in_every_document(site: Site) -> None:
    film, other = films.chest(1), films.chest(2)
    site.begin(0.8, 0.9, 0.8).send(film)
    site.clock.turn(5)
    site.send(same_study(film, other))
    site.document({"pacs": Taste(pdf=True)}, {"pacs": Pacs()}, ("pdf", "pr", "seg"), key_objects=True).settle()
    site.send(films.change(films.chest(1), PatientName="Doe^Janet"))
    site.settle()
    got = site.pacs["pacs"].got
    assert {str(one.PatientName) for one in got if one.InstanceNumber == 1} == {"Doe1^Jane"}
    assert {str(one.PatientName) for one in got if one.InstanceNumber == 2} == {"Doe^Janet"}
    assert sorted(one.Modality for one in got if one.InstanceNumber == 2) == ["DOC", "KO", "OT", "PR", "SEG", "SR"]
    first, second = (values(one, "112039") for one in got if one.Modality == "SR")
    assert first == second == ["Pneumonia, image 2", "Pneumonia, image 1"], "a correction numbers no image anew"


def test_of_several_corrections_the_last_counts(site: Site) -> None:
    film = films.chest(1)
    site.begin(*[0.9] * 4).send(film)
    site.clock.turn(5)
    site.send(same_study(film, films.chest(2)))
    site.document({"pacs": Taste()}, {"pacs": Pacs()}).settle()
    site.send(films.change(same_study(film, films.chest(2)), PatientName="Second^One"))
    site.settle()
    site.send(films.change(films.chest(1), PatientName="Third^One"))
    site.settle()
    named = [str(one.PatientName) for one in site.pacs["pacs"].got if one.Modality == "SR"]
    assert named == ["Doe1^Jane", "Second^One", "Third^One"]


def test_what_is_wanted_beside_the_report_goes_to_those_that_want_it(site: Site) -> None:
    tastes = {"one": Taste(pdf=True), "two": Taste()}
    begin(site).document(tastes, {"one": Pacs(), "two": Pacs()}, ("pdf", "pr", "seg")).settle()
    assert sorted(site.got("one")) == ["DOC", "OT", "PR", "SEG", "SR"]
    assert sorted(site.got("two")) == ["OT", "PR", "SEG", "SR"]


def test_without_a_finding_there_is_nothing_to_outline(site: Site) -> None:
    begin(site, 0.1).document({"pacs": Taste(pdf=True)}, {"pacs": Pacs()}, ("pdf", "pr", "seg")).settle()
    assert sorted(site.got("pacs")) == ["DOC", "OT", "SR"]


def test_key_objects_come_last_and_tie_what_the_destination_has_got(site: Site) -> None:
    tastes = {"one": Taste(pdf=True), "two": Taste("basic_text")}
    begin(site).document(tastes, {"one": Pacs(), "two": Pacs()}, ("pdf",), key_objects=True).settle()
    for name, count in (("one", 3), ("two", 2)):
        *others, selection = site.pacs[name].got
        assert (selection.Modality, len(others)) == ("KO", count)
        chosen = [
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for item in selection.ContentSequence
            if item.ValueType in ("IMAGE", "COMPOSITE")
        ]
        assert set(chosen) == {films.chest(1).SOPInstanceUID, *(one.SOPInstanceUID for one in others)}


@pytest.mark.parametrize("order", [KINDS, ("report", "deliver", "heatmap", "companions", "key_objects")])
@pytest.mark.parametrize("probability", [0.1, 0.9])
def test_key_objects_come_whoever_is_faster_the_writer_or_the_destinations(
    site: Site, order: Sequence[str], probability: float
) -> None:
    tastes = {"one": Taste(pdf=True), "two": Taste()}
    begin(site, probability).document(tastes, {"one": Pacs(), "two": Pacs()}, ("pdf", "pr"), key_objects=True)
    site.kinds = order
    site.settle()
    for name in tastes:
        assert site.got(name)[-1] == "KO"
        assert site.got(name).count("KO") == 1


@pytest.mark.parametrize(("probability", "count"), [(0.9, 1), (0.1, 0)])
def test_key_objects_of_promoted_studies_alone(site: Site, probability: float, count: int) -> None:
    wanted = {"key_objects": True, "promoted_alone": True}
    begin(site, probability).document({"pacs": Taste()}, {"pacs": Pacs()}, **wanted).settle()
    assert site.got("pacs").count("KO") == count
    assert "SR" in site.got("pacs")
    assert [row["state"] for row in site.rows("SELECT state FROM job WHERE kind = 'key_objects'")] == ["done"]


def test_key_objects_wait_for_no_report_of_another_destination(site: Site) -> None:
    tastes = {"one": Taste(), "two": Taste()}
    begin(site).document(tastes, {"one": Pacs(), "two": Pacs(("enhanced",))}, key_objects=True)
    site.kinds = ("heatmap", "companions", "deliver", "key_objects", "report")
    site.settle()
    assert [site.got(name).count("KO") for name in tastes] == [1, 1]


def test_key_objects_tie_what_there_is_where_a_document_cannot_be_made(site: Site) -> None:
    begin(site).document({"pacs": Taste()}, {"pacs": Pacs()}, key_objects=True)
    site.kinds = ("report", "deliver", "heatmap", "key_objects")
    site.work("analyse")
    for path in [*site.spool.pictures.rglob("*.png"), *site.spool.films.rglob("*.dcm")]:
        path.write_bytes(path.read_bytes()[:-1000])  # the pixels, and not the header
    site.settle()
    assert site.got("pacs") == ["SR", "KO"]


def test_a_heat_map_does_not_depend_on_the_picture_that_was_to_be_left(site: Site) -> None:
    begin(site).document({"pacs": Taste()}, {"pacs": Pacs()})
    site.work("analyse")
    (picture,) = site.spool.pictures.rglob("*.png")
    picture.unlink()
    site.settle()
    assert site.got("pacs") == ["SR", "OT"]
    assert picture.is_file()


def config(mode: str, report: Mapping[str, bool], *destinations: Mapping[str, Any]) -> Plan:
    peers = [{"ae_title": "A", "host": "h"} | dict(one) for one in destinations]
    return Plan.of(Config.model_validate({"node": {"mode": mode}, "report": report, "destination": peers}))


EVERYTHING = {"pdf": True, "presentation_state": True, "segmentation": True}


def test_nothing_leaves_in_shadow_and_nothing_is_localised_in_triage() -> None:
    plan = config("full", EVERYTHING, {"name": "a", "mode": "shadow"}, {"name": "b", "mode": "triage"}, {"name": "c"})
    assert plan.routes() == {"full": ("c",), "shadow": (), "triage": ("b",)}
    assert plan.companions() == {"full": ("pdf", "pr", "seg"), "shadow": ("pdf", "pr", "seg"), "triage": ("pdf",)}
    following = plan.next_documents()
    assert ("triage", "heatmap") not in following
    assert following["triage", "report"] == "companions"
    assert [following["full", "report"], following["full", "heatmap"]] == ["heatmap", "companions"]


@pytest.mark.parametrize(
    ("report", "first"),
    [
        ({}, "report"),
        ({"sr": False}, "heatmap"),
        ({"sr": False, "heatmap": False, "pdf": True}, "companions"),
    ],
)
def test_documents_begin_with_the_first_that_is_wanted(report: Mapping[str, bool], first: str) -> None:
    plan = config("full", report)
    assert plan.first_documents() == {"full": first}
    assert config("full", {"sr": False, "heatmap": False}).first_documents() == {}


def test_a_destination_may_want_the_page_or_not_whatever_the_others_get() -> None:
    plan = config("full", {}, {"name": "a", "pdf": True}, {"name": "b", "sr_class": "enhanced"})
    assert plan.tastes() == {"a": Taste(pdf=True), "b": Taste("enhanced")}
    assert plan.companions() == {"full": ("pdf",)}
    assert config("full", {"pdf": True}, {"name": "a", "pdf": False}).tastes() == {"a": Taste()}
