"""The power goes: what was not synced is gone, and everything that was acknowledged is there.

The cut is worked out, not made: see platter.py for what the disk keeps, and docs/reliability.md for what is left out.
"""

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import FileDataset

from cxr_node.imaging.digest import data_set_digest
from cxr_node.store.db import Store
from tests.fault.damage import data_set
from tests.fault.platter import Platter, entries, power_cut
from tests.fault.resend import resend
from tests.fault.shim import Shim
from tests.films import chest
from tests.node import Node
from tests.orthanc import Orthanc

pytestmark = pytest.mark.fault


def acknowledged(node: Node, shim: Shim, films: list[FileDataset]) -> dict[str, int]:
    """Send films; the digest of each, and how long the journal was when its success left the node."""
    moments = {}
    with node.association((films[0].SOPClassUID, films[0].file_meta.TransferSyntaxUID)) as association:
        for film in films:
            path = node.written(film)
            assert association.send_c_store(path).Status == 0x0000
            answers = [
                one for one in entries(shim.journal) if one.kind == "n" and one.path.startswith(f"tcp:{node.port}>")
            ]
            moments[hashlib.sha256(data_set(path)).hexdigest()] = answers[-1].position
    return moments


def faults_of(root: Path, promised: set[str]) -> list[str]:
    """What is wrong with a folder that a node could be started on, which has promised films."""
    with closing(Store.open(root / "cxr-node.sqlite")) as store, store.reading() as tx:
        wrong = [f"database: {row}" for row in tx.rows("PRAGMA integrity_check") if row != {"integrity_check": "ok"}]
        films = {row["digest"]: root / row["path"] for row in tx.rows("SELECT digest, path FROM instance")}
        wrong += [f"no row of {digest}" for digest in promised - films.keys()]
        wrong += [f"no film {path}" for digest, path in films.items() if digest in promised and not path.is_file()]
        wrong += [
            f"other bytes in {path}"
            for digest, path in films.items()
            if path.is_file() and data_set_digest(path) != digest
        ]
        documents = [root / row["path"] for row in tx.rows("SELECT path FROM document")]
        wrong += [f"no document {path}" for path in documents if not path.is_file()]
        idle = "SELECT digest FROM instance WHERE digest NOT IN (SELECT subject FROM job WHERE kind = 'analyse')"
        wrong += [f"nothing will be done for {row['digest']}" for row in tx.rows(idle)]
    return wrong


def test_at_every_moment_everything_acknowledged_is_on_the_disk(
    tmp_path: Path, *, long: bool, record_property: Callable[[str, object], None]
) -> None:
    """The disk changes when something is synced: a cut before each of these moments, by the worst luck and by some."""
    shim, chance = Shim(tmp_path), Random(20)
    films = [chest() for _ in range(24 if long else 3)]
    with Node(tmp_path, environment=shim.recording) as node:
        moments = acknowledged(node, shim, films[:1])  # the very first film of a new folder
        node.analysing()
        moments |= acknowledged(node, shim, films[1:])
        node.wait_idle()
        node.kill()
        node.kill("")
    platter, left, cuts = Platter(), tmp_path / "left", 0
    before = 0
    for entry in entries(shim.journal):
        promised = {digest for digest, moment in moments.items() if moment <= before}
        if entry.kind == "s" and promised:
            for luck in (None, *(chance for _ in range(4 if long else 1))):
                platter.rebuild(left, luck)
                assert faults_of(left, promised) == [], f"before the sync of {entry.path} at {entry.position}"
                cuts += 1
        platter.play(entry)
        before = entry.position
    record_property("times", cuts)
    assert cuts > 20 * len(films)


@pytest.mark.peers
def test_the_power_goes_and_comes_back(
    tmp_path: Path, orthanc: Orthanc, *, long: bool, record_property: Callable[[str, object], None]
) -> None:
    """Every film ends in the archive with one SR and one SC, whenever its node lost what was not synced."""
    shim, chance = Shim(tmp_path), Random(21)
    cuts = 100 if long else 2
    films: list[FileDataset] = []
    with Node(tmp_path, environment=shim.recording, destinations=[orthanc.destination()]) as node:
        before = Platter()
        for number in range(cuts):
            for film in [chest() for _ in range(chance.randint(1, 6))]:
                films.append(film)
                resend(node, film)
            if number % 2:
                node.analysing()
            node.kill()
            node.kill("")
            before = power_cut(shim.root, shim.journal, before, chance if number % 3 else None)
            node.start()

        studies = node.wait_final(*(film.StudyInstanceUID for film in films))

        assert [len(study["instances"]) for study in studies] == [1] * len(films)
        assert {entry["state"] for entry in node.worklist()} == {"analysed"}
        assert [orthanc.modalities(film.StudyInstanceUID) for film in films] == [["OT", "SR"]] * len(films)
    record_property("times", cuts)
