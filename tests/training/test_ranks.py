"""A run in two processes: the same loss as in one, killed and resumed, and what is said where it cannot be."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from cxr_node.errors import ConfigError
from tests.benchmarks.rig import free_port
from training import recipe as recipes
from training.cli import commands
from training.data import Film
from training.epochs import Key, loaded
from training.fit import fit
from training.ranks import Ranks, launched
from training.run import Run

pytestmark = pytest.mark.training

TOLERANCE = 0.03
"""Of an epoch's loss: convolutions round to bfloat16, differently where a batch is in two. Seen: 0.014."""
RECIPE = """
network = "plain_cnn"
size = 64
seed = 3
options = { size = 64, widths = [8, 8, 16], dense = [16], dropout = 0.3 }
[data]
shares = { kermany = 0.6, nih_chestxray14 = 0.4 }
films_per_epoch = 87
[fit]
warm_up_epochs = 2
epochs = 6
batch = 7
head_rate = 3e-3
rate = 2e-3
average_decay = 0.8
mixup = 0.2
[jitter]
flip = 0.5
zoom = [0.9, 1.1]
brightness = [0.9, 1.1]
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe in it."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "small.toml").write_text(RECIPE)
    return folder


def _train(place: Path, films: Sequence[Film], run: Run, *more: str) -> tuple[str, ...]:
    data = ("--data", str(films[0].path.parent), "--runs", str(run.directory.parent), "--device", "cpu")
    return ("-m", "training", "train", str(place / "small.toml"), *data, *more)


@pytest.fixture(scope="module")
def together(place: Path, films: list[Film]) -> Run:
    """A run that torchrun did in two processes."""
    run = Run(place / "together" / "small")
    done = subprocess.run(
        [sys.executable, *TORCHRUN, *_train(place, films, run)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1 ") == 1, "one process speaks"
    return run


def test_two_processes_have_the_loss_of_one(place: Path, films: list[Film], together: Run) -> None:
    fit(recipes.load(place / "small.toml"), films, alone := Run(place / "alone"), name="small")
    one, two = alone.history(), together.history()
    assert len(one) == len(two) == 8
    for name in ("loss", "validation loss"):
        assert [each[name] for each in two] == pytest.approx([each[name] for each in one], rel=TOLERANCE)
    assert one[-1]["validation loss"] < 0.8 * one[0]["validation loss"], "there was something to learn"
    assert together.conditions() == alone.conditions()
    assert (together.conditions().processes, alone.conditions().processes) == (2, 1)


@contextmanager
def _two(arguments: Sequence[str]) -> Iterator[list["subprocess.Popen[str]"]]:
    """Two processes, told who they are as torchrun tells them; at its end they have ended."""
    told = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    with ExitStack() as stack:
        both = []
        for rank in ("0", "1"):
            own = told | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"}
            each = subprocess.Popen(
                [sys.executable, *arguments], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.enter_context(each)
            stack.callback(each.kill)
            both.append(each)
        yield both


def _outputs(both: Sequence["subprocess.Popen[str]"]) -> list[str]:
    """What both wrote to standard output, when they have ended well."""
    outputs = [each.communicate(timeout=200) for each in both]
    assert [each.returncode for each in both] == [0, 0], "\n".join(said for _, said in outputs)
    return [shown for shown, _ in outputs]


def test_a_process_that_is_killed_ends_the_run_which_resumes_to_the_same_result(
    place: Path, films: list[Film], together: Run
) -> None:
    run = Run(place / "killed" / "small")
    with _two(_train(place, films, run)) as (first, second):
        while not run.log.exists() and first.poll() is None:
            time.sleep(0.005)
        second.kill()
        _, said = first.communicate(timeout=200)
    assert first.returncode == 1, said
    assert "cxr-train (process 0 of 2): Another process of this run has ended" in said
    assert "Traceback" not in said
    assert 0 < run.epochs_done < 8
    assert not run.finished
    with _two(_train(place, films, run, "--resume")) as both:
        _outputs(both)
    resumed, straight = load_file(run.weights), load_file(together.weights)
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_two_processes_compute_what_one_does(tmp_path: Path, films: list[Film]) -> None:
    with _two(["-m", "tests.training.pair", str(films[0].path.parent), str(tmp_path)]) as both:
        for rank, shown in enumerate(_outputs(both)):
            assert shown.count(f"{rank}: ") == 4


def test_parts_are_the_whole() -> None:
    whole = list(range(11))
    parts = [Ranks(rank, 4).part(whole) for rank in range(4)]
    assert [len(part) for part in parts] == [2, 3, 3, 3]
    assert [each for part in parts for each in part] == whole


class _Numbered:
    """Films of one pixel, each its place; there is none at place 5."""

    def __getitem__(self, key: Key) -> dict[str, torch.Tensor]:
        if key[0] == 5:
            raise ConfigError("no film")
        return {"film": torch.tensor([float(key[0])])}


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_keep_the_order_of_films_and_pass_on_what_fails(threads: int) -> None:
    batches = [[(3, 0), (1, 0)], [(2, 0), (0, 0)], *[[(place, 0), (place + 1, 0)] for place in range(6, 16)]]
    found = [batch["film"].flatten().tolist() for batch in loaded(_Numbered(), batches, threads)]
    assert found == [[place for place, _ in batch] for batch in batches]
    with pytest.raises(ConfigError, match="no film"):
        list(loaded(_Numbered(), [*batches, [(5, 0)]], threads))


def test_what_processes_cannot_share_is_said(place: Path, films: list[Film]) -> None:
    with pytest.raises(ConfigError, match="A batch of 7 films is too small for 8 processes"):
        fit(recipes.load(place / "small.toml"), films, Run(place / "none"), ranks=Ranks(0, 8))
    with (
        pytest.raises(ConfigError, match="More processes were started on this machine than it has graphics cards"),
        launched("cuda", {"WORLD_SIZE": "100", "LOCAL_RANK": "99"}),
    ):
        pass
    data = ["--data", str(films[0].path.parent)]
    for arguments, sentence in (
        (["calibrate", str(place), *data], "calibrate is no work for several processes"),
        (["train", "gate-1.0", *data], "gate-1.0 is trained in one process"),
    ):
        refused = CliRunner(env={"WORLD_SIZE": "2"}).invoke(commands, arguments)
        assert refused.exit_code == 2
        assert sentence in refused.output
