"""Workitems with many open studies: the first page of C-FIND and of UPS-RS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from pydicom.uid import UID

from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.workitems import PULL, UnifiedProcedureStep
from cxr_node.domain.workitem import Caller
from cxr_node.store import worklist
from tests.bench import Bench, add_film, desk, header
from tests.steps import Workstation, keyed

_STUDIES, _TIMES, _PAGE = 10_000, 20, 50


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: milliseconds, median and longest, one query after the other."""
    bench = Bench(folder)
    with bench.store.transaction() as tx:
        for number in range(_STUDIES):
            facts = {"accession_number": f"A{number}", "patient_id": f"P{number}", "patient_name": "Doe^Jane"}
            add_film(tx, number, at=bench.clock() + number, **facts)
            worklist.arrive(tx, header(number, **facts), bench.clock() + number)
        tx.execute("UPDATE worklist_entry SET state = 'analysed', tier = iif(rowid % 10, 'none', 'high')")
    asked = desk(bench)
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(endpoint, bench.intake, bench.spool.incoming, [UnifiedProcedureStep(asked)])
    listener.start()
    yield f"| {_STUDIES:,} open studies | median (longest), ms |"
    yield "| --- | ---: |"
    with Workstation(listener.port) as station:
        yield f"| C-FIND of what is scheduled, until its first {_PAGE} answers | {_timed(lambda: _page(station))} |"
    query = {"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}
    caller = Caller("bench", "BENCH", "")

    def first() -> None:
        found = asked.find_whole(query, caller)
        for _ in range(_PAGE):
            next(found)

    yield f"| the first {_PAGE} of UPS-RS, without HTTP | {_timed(first)} |"
    listener.stop(1.0)


def _page(station: Workstation) -> None:
    """Canceled when the page is there, as a workstation does that shows no more."""
    query = keyed(ProcedureStepState="SCHEDULED", StudyInstanceUID="", WorklistLabel="", PatientName="")
    for count, _ in enumerate(station.association.send_c_find(query, UID(PULL), msg_id=7), start=1):
        if count == _PAGE:
            (context,) = [one for one in station.association.accepted_contexts if one.abstract_syntax == PULL]
            station.association.send_c_cancel(7, context.context_id)
            _page_end.append(perf_counter())


_page_end: list[float] = []


def _timed(work: Callable[[], None]) -> str:
    took = []
    for _ in range(_TIMES):
        _page_end.clear()
        began = perf_counter()
        work()
        took.append(1000 * ((_page_end[0] if _page_end else perf_counter()) - began))
    return f"{median(took):.0f} ({max(took):.0f})"
