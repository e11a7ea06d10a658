"""When a soak calls what it sampled flat."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from tests.soak.plot import draw
from tests.soak.samples import FLAT, Sample, append, verdicts


def run(memory: Callable[[int], float], files: Callable[[int], int] = lambda _: 10) -> list[Sample]:
    """A hundred samples of a listener; everything else stands still."""
    names = [field.name for field in fields(Sample)]
    still = dict.fromkeys(names, 100)
    return [
        Sample(**(still | {"seconds": 5 * n, "serve_memory": memory(n), "serve_files": files(n)})) for n in range(100)
    ]


def growing(samples: list[Sample]) -> list[str]:
    titles = [judged.title for judged in verdicts(samples) if not judged.flat]
    return [name for name, (title, _) in FLAT.items() if title in titles]


def test_what_stands_still_or_only_warms_up_is_flat() -> None:
    assert growing(run(lambda n: min(n, 20) + 80)) == []


def test_a_spike_is_not_growth() -> None:
    assert growing(run(lambda n: 500 if n % 10 == 0 else 100, lambda n: 40 if n % 7 == 0 else 10)) == []


def test_a_slow_leak_is_growth() -> None:
    assert growing(run(lambda n: 100 + 0.1 * n)) == ["serve_memory"]


def test_one_file_in_an_hour_is_growth() -> None:
    assert growing(run(lambda _: 100, lambda n: 10 + n // 30)) == ["serve_files"]


def test_samples_are_written_and_drawn(tmp_path: Path) -> None:
    samples = run(lambda _: 100)
    for sample in samples:
        append(tmp_path / "samples.csv", sample)
    draw(samples, tmp_path / "soak.png", "nothing happened")

    lines = (tmp_path / "samples.csv").read_text().splitlines()
    assert (len(lines), lines[0].split(",")[:2], lines[1].split(",")[:2]) == (101, ["seconds", "studies"], ["0", "100"])
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
