"""What each stage costs for one film, on an idle node."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cxr_node.documents import Profile, Source, StudyReport, build_heatmap, build_report
from cxr_node.domain.finding import Tier
from cxr_node.imaging.digest import data_set_digest
from cxr_node.imaging.film import prepare, render
from cxr_node.imaging.part10 import read_complete, read_film
from cxr_node.imaging.picture import encode_picture
from cxr_node.imaging.pixels import decode
from cxr_node.inference import gate_manifest
from cxr_node.inference.gate import Gate
from cxr_node.inference.manifest import find
from cxr_node.inference.predictor import Predictor, analyse
from cxr_node.spool import Spool
from tests.benchmarks.figures import Figure, Scale
from tests.benchmarks.load import Films


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """In the order in which a film of the first size passes."""
    (path,) = Films(folder / "films", next(iter(scale.sizes.values()))).make(1)
    spool = Spool(folder / "spool", 0)
    spool.prepare()
    manifest = find(None, "cxr-pneumonia")
    predictor, gate = Predictor(manifest, "cpu"), Gate(gate_manifest.find(None, "cxr-gate"))
    dataset = read_film(path)
    pixels = decode(dataset)
    prepared = prepare(pixels, dataset, manifest.size)
    picture = render(pixels, dataset)
    analysis = analyse(manifest, predictor.predict(prepared[None])[0])
    source = Source(read_complete(path), "0" * 64, datetime.now(UTC), analysis)
    profile = Profile(
        "full", "en", manifest.cutoffs(threshold=0.001), None, {Tier.HIGH: 2}, None, "2.25", "", "", "0.1.0"
    )  # fmt: skip
    report = StudyReport((source,), profile, 1, datetime.now(UTC))
    steps: dict[str, Callable[[], object]] = {
        "parse the header, check that all bytes came": lambda: read_complete(path),
        "digest of the data set (SHA-256)": lambda: data_set_digest(path),
        "read the whole file": lambda: read_film(path),
        "decode": lambda: decode(dataset),
        "prepare for the network": lambda: prepare(pixels, dataset, manifest.size),
        "render for people (1024)": lambda: render(pixels, dataset),
        "encode the picture (PNG)": lambda: encode_picture(picture),
        "the gate": lambda: gate.admit(prepared),
        "network and activation map, 1 film": lambda: predictor.predict(prepared[None]),
        "network and activation map, 8 films": lambda: predictor.predict(prepared[None].repeat(8, axis=0)),
        "build the SR": lambda: build_report(report),
        "build the heat map": lambda: build_heatmap(report, source, picture),
        "write a document durably (20 kB)": lambda: spool.write(spool.outbox / "x.dcm", b"x" * 20_000),
    }
    for name, step in steps.items():
        yield Figure(name, "one film", "ms", _milliseconds(step, scale.repeats))


def _milliseconds(step: Callable[[], object], repeats: int) -> list[float]:
    step()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        taken.append(1000 * (time.perf_counter() - began))
    return taken
