"""Further models: they judge for the report what the model in service has judged; nothing else rests on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from cxr_node.domain.finding import Analysis, Cutoffs, ModelIdentity
from cxr_node.domain.job import NewJob
from cxr_node.domain.study import Judging
from cxr_node.errors import Ineligible, Permanent
from cxr_node.message import Message
from cxr_node.stages.beside import Bench, Beside
from cxr_node.stages.further import Further
from cxr_node.store import jobs, results, revisions
from cxr_node.store.requeue import drop_beside, requeue_failed, requeue_study
from tests import films
from tests.bench import JUDGING, NOON, analysis
from tests.documents import items, values
from tests.unit.test_stages import SHADOWS, STEPS, same_study
from tests.unit.test_stages_documents import Pacs, Site, Taste

OTHER = ModelIdentity("cxr-other", "1.0.0", "0" * 64)
READ = Judging(OTHER.digest, Cutoffs(0.8, 0.8, 0.9), prevalence=0.2, restricted=True)
RUN_STATUS, COMMENT, ALGORITHM, PRIORITY = "111017", "121106", "111001", "260870009"


@dataclass
class Second:
    """Stands in for the further model's network: it answers `probabilities` in turn, or raises what stands there."""

    probabilities: list[float | Exception]

    @property
    def manifest(self) -> Any:
        return SimpleNamespace(size=32)

    def predict(self, batch: NDArray[np.float32]) -> list[float | Exception]:
        return [self.probabilities.pop(0) for _ in batch]


def judged(said: float | Exception) -> Analysis:
    if isinstance(said, Exception):
        raise said
    return replace(analysis(said, "covid19"), model=OTHER)


class Consulting(Site):
    """A site with a model beside the one in service, for the report."""

    further: Mapping[str, Judging | None] = {f"{OTHER.name} {OTHER.version}": READ}

    def consult(self, *probabilities: float | Exception, there: bool = True) -> "Consulting":
        self.second = Second(list(probabilities))
        beside: Any = {OTHER.digest: Beside(self.second, judged)} if there else {}  # type: ignore[arg-type]
        stage = Further(Bench(self.store, self.spool, beside), self.waiting, self.clock)
        self.worker.stages = {**self.worker.stages, "further": (STEPS["further"], stage)}
        return self

    def reports(self) -> list[Any]:
        """The reports that the PACS has got."""
        return [each for each in self.pacs["pacs"].got if each.Modality == "SR"]

    def analysed(self, film: FileDataset) -> str:
        """Have a film judged by the model in service; its study."""
        self.send(film)
        self.work("analyse")
        return str(film.StudyInstanceUID)

    def consultations(self) -> list[tuple[str, str | None]]:
        return [(row["state"], row["error_code"]) for row in self.jobs("further")]


@pytest.fixture
def site(tmp_path: Path) -> Consulting:
    return Consulting(tmp_path)


def begun(site: Consulting, *probabilities: float, further: Sequence[float | Exception], there: bool = True) -> None:
    site.begin(*probabilities)
    site.document({"pacs": Taste()}, {"pacs": Pacs()})
    site.consult(*further, there=there)


def test_the_report_has_a_group_of_each_model_and_the_worklist_only_of_one(site: Consulting) -> None:
    begun(site, 0.5, further=[0.95])
    study = site.analysed(films.chest())
    before = site.entry()
    site.work("further")
    assert site.entry() == before
    site.settle()
    (report,) = site.reports()
    assert values(report, ALGORITHM) == ["cxr-test", "cxr-other"]
    assert values(report, "121071") == ["233604007", "840544004"]
    assert values(report, RUN_STATUS) == ["111242"]
    assert any("cxr-other 1.0.0 is a research model of restricted use" in text for text in values(report, COMMENT))
    assert [item.ConceptCodeSequence[0].CodeValue for item in items(report, PRIORITY)] == ["RID49482"]
    assert "instance.consulted" in site.events()
    with site.store.reading() as tx:
        found = results.of_study(tx, study)
        settled = revisions.numbered(tx, study, 1)
    assert [(one["model"], one["role"], one["shadow"]) for one in found] == [
        ("cxr-test", "service", False),
        ("cxr-other", "further", False),
    ]
    assert settled is not None
    (consulted,) = settled.revision.consulted
    assert (consulted.judging, consulted.positive, dict(consulted.lacking)) == (READ, True, {})


def test_documents_wait_for_it_and_no_longer_than_for_a_film(site: Consulting) -> None:
    begun(site, 0.5, further=[])
    site.analysed(films.chest())
    site.clock.turn(120)
    site.work("settle")
    assert site.revisions() == []
    site.clock.turn(600)
    site.work("settle")
    site.finish()
    (report,) = site.reports()
    assert values(report, RUN_STATUS) == ["111244"]
    assert "Image 1: analysis by cxr-other 1.0.0 not finished when this report was made" in values(report, COMMENT)


@pytest.mark.parametrize(("late", "revised"), [(0.95, 2), (0.2, 1)])
def test_what_comes_late_revises_the_report_only_where_it_finds_something(
    site: Consulting, late: float, revised: int
) -> None:
    begun(site, 0.5, further=[late])
    study = site.analysed(films.chest())
    site.clock.turn(800)
    site.work("settle")
    site.finish()
    site.work("further", "settle")
    site.finish()
    assert [row["revision"] for row in site.revisions()] == list(range(1, revised + 1))
    reports = site.reports()
    assert len(reports) == revised
    assert values(reports[-1], RUN_STATUS) == (["111242"] if revised == 2 else ["111244"])
    if revised == 1:
        assert site.events()[-1] == "study.unchanged"
    again = site.desk.assemble(study, "1/full")
    assert (again.sources[0].further, len(again.sources[0].lacking)) == ((), 1)  # as it was concluded


def test_a_failure_of_it_is_said_in_the_report_and_holds_nothing_up(site: Consulting) -> None:
    begun(site, 0.5, further=[Permanent("ODD", Message("it cannot tell"))])
    site.analysed(films.chest())
    site.work("further")
    site.settle()
    (report,) = site.reports()
    assert values(report, RUN_STATUS) == ["111244"]
    assert "Image 1: not analysed by cxr-other 1.0.0: it cannot tell" in values(report, COMMENT)
    assert values(report, ALGORITHM) == ["cxr-test"]
    assert site.consultations() == [("failed", "ODD")]


def test_one_that_cannot_be_loaded_is_a_dead_letter_until_it_is_mended(site: Consulting) -> None:
    begun(site, 0.1, further=[], there=False)
    site.analysed(films.chest())
    site.work("further")
    site.settle()
    (report,) = site.reports()
    assert values(report, RUN_STATUS) == ["111243"]
    assert "Image 1: not analysed by cxr-other 1.0.0: the model is not there" in values(report, COMMENT)
    assert site.consultations() == [("failed", "MODEL_UNAVAILABLE")]
    site.consult(0.95)
    with site.store.transaction() as tx:
        requeue_failed(tx, site.clock())
    site.work("further", "settle")
    site.finish()
    assert values(site.reports()[-1], "121071") == ["840544004"]
    assert site.consultations() == [("done", None)]


def test_one_that_the_configuration_names_and_is_not_there_is_said_too(site: Consulting) -> None:
    site.further = {"cxr-gone": None}
    begun(site, 0.5, further=[])
    site.analysed(films.chest())
    assert site.consultations() == []
    site.settle()
    (report,) = site.reports()
    assert values(report, RUN_STATUS) == ["111244"]
    assert "Image 1: not analysed by cxr-gone: the model is not there" in values(report, COMMENT)


def test_a_film_that_the_gate_refuses_is_not_shown_to_it(site: Consulting) -> None:
    begun(site, 0.5, further=[0.1])
    film = films.chest()
    site.analysed(film)
    site.clock.turn(1)
    site.gate.verdict = Ineligible("LATERAL", Message("The pixels show a lateral view."))
    site.analysed(same_study(film, films.chest()))
    site.work("further")
    site.settle()
    (report,) = site.reports()
    assert len(site.consultations()) == 1
    assert values(report, RUN_STATUS) == ["111244"]
    assert "Image 2: not analysed: The pixels show a lateral view." in values(report, COMMENT)
    assert not any("not analysed by" in text for text in values(report, COMMENT))


def test_a_model_that_is_new_judges_the_whole_study_when_it_is_revised(site: Consulting) -> None:
    further, site.further = site.further, {}
    begun(site, 0.1, 0.6, further=[])
    film = films.chest()
    site.analysed(film)
    site.settle()
    assert (len(site.reports()), site.consultations()) == (1, [])
    site.further = further
    got = site.pacs
    begun(site, 0.6, further=[0.3, 0.4])
    site.pacs["pacs"].got = got["pacs"].got
    site.work("settle")
    assert site.consultations() == []  # what was reported stays as it is
    site.analysed(same_study(film, films.chest()))
    site.clock.turn(120)
    site.work("settle", "further")
    site.finish()
    report = site.reports()[-1]
    assert [state for state, _ in site.consultations()] == ["done", "done"]
    assert values(report, "111001").count("cxr-other") == 2


def test_a_study_that_is_tried_again_is_judged_by_all_again(site: Consulting) -> None:
    begun(site, 0.5, 0.5, further=[0.1, 0.95])
    study = site.analysed(films.chest())
    site.work("further")
    site.settle()
    with site.store.transaction() as tx:
        requeue_study(tx, study, JUDGING, site.clock())
    site.work("analyse", "further", "settle")
    site.finish()
    assert [row["revision"] for row in site.revisions()] == [1, 2]
    assert values(site.reports()[-1], "121071") == ["233604007", "840544004"]


def test_what_waits_for_a_model_that_is_not_wanted_any_more_is_dropped(site: Consulting) -> None:
    begun(site, 0.5, further=[])
    site.analysed(films.chest())
    with site.store.transaction() as tx:
        assert drop_beside(tx, {"further": [OTHER.digest], "shadow": SHADOWS}, NOON) == 0
        assert drop_beside(tx, {"further": [], "shadow": SHADOWS}, NOON) == 1
    assert site.consultations() == [("skipped", "MODEL_UNAVAILABLE")]


def test_the_same_study_twice_gives_the_same_reports(tmp_path: Path) -> None:
    made = []
    for name in ("one", "other"):
        site = Consulting(tmp_path / name)
        begun(site, 0.5, further=[0.95])
        site.analysed(films.chest(1, StudyInstanceUID="2.25.1"))
        site.work("further")
        site.settle()
        made.append([each.read_bytes() for each in sorted(site.spool.outbox.glob("*.dcm"))])
    assert made[0] == made[1]
    assert len(made[0]) == 2


def test_an_instance_that_is_gone_is_failed(site: Consulting) -> None:
    begun(site, further=[])
    with site.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("further", "f" * 64, OTHER.digest)], NOON)
    site.work("further")
    assert site.consultations() == [("failed", "INSTANCE_UNKNOWN")]
