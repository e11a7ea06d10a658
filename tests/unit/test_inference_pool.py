"""A pool as a node sees it: the same results as here, each failure told, and this machine in its place."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from cxr_node.errors import Permanent, Transient
from cxr_node.inference import golden
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.pool import DIGEST, MOST_FILMS, Pool, films_of, packed, unpacked
from cxr_node.inference.pooled import PooledPredictor
from cxr_node.inference.predictor import Predictor
from tests.bench import Clock
from tests.models import CLASSES, one_thread, small_model
from tests.pools import Reply, StandIn


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return small_model(tmp_path_factory.mktemp("models"), "small")


@pytest.fixture(scope="module")
def local(model: Manifest) -> Predictor:
    return Predictor(model, "cpu")


@pytest.fixture
def stand_in(local: Predictor) -> Iterator[StandIn]:
    with StandIn(local.manifest, local) as running:
        yield running


class Pauses(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


Called = Callable[..., Pool]


@pytest.fixture
def pool() -> Iterator[Called]:
    with ExitStack() as stack:

        def called(address: str, pauses: Pauses | None = None, timeout: float = 30.0) -> Pool:
            made = Pool(address, timeout, sleep=pauses if pauses is not None else Pauses())
            stack.callback(made.close)
            return made

        yield called


def films(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, size, size)).astype(np.float32)


def test_what_a_pool_computes_is_what_is_computed_here(
    pool: Called, stand_in: StandIn, model: Manifest, local: Predictor
) -> None:
    batch = films(3, model.size)
    there = PooledPredictor(model, pool(stand_in.address), None)
    for one, another in zip(there.predict(batch), local.predict(batch), strict=True):
        np.testing.assert_array_equal(one.logits, another.logits)
        np.testing.assert_array_equal(one.activations, another.activations)
        assert one.explanation == another.explanation == "cam"
    np.testing.assert_array_equal(there.probe(batch), local.probe(batch))
    assert golden.check(there) < golden.TOLERANCE
    assert there.device == f"pool {stand_in.address}"


def test_films_arrive_to_the_last_bit_and_nothing_else_does(pool: Called, stand_in: StandIn, model: Manifest) -> None:
    batch = films(2, model.size)
    PooledPredictor(model, pool(stand_in.address), None).predict(batch)
    assert stand_in.requests == ["/small/1.0.0/predict"]
    sent = unpacked(stand_in.bodies[0])
    assert list(sent) == ["films"]
    np.testing.assert_array_equal(sent["films"], batch)


def test_many_films_go_in_several_requests(pool: Called, stand_in: StandIn, model: Manifest, local: Predictor) -> None:
    batch = films(MOST_FILMS + 1, model.size)
    there = PooledPredictor(model, pool(stand_in.address), None).predict(batch)
    assert len(stand_in.requests) == 2
    apart = [np.abs(a.logits - b.logits).max() for a, b in zip(there, local.predict(batch), strict=True)]
    assert max(apart) <= 1e-5


def test_a_look_says_which_build_is_there(pool: Called, stand_in: StandIn, model: Manifest) -> None:
    stand_in.digest = "e" * 64
    found = pool(stand_in.address).look(model)
    assert (found.digest, found.device) == ("e" * 64, "cpu")


@pytest.mark.parametrize("fault", [(500, {}, b""), (503, {}, b""), None], ids=["500", "503", "dropped"])
def test_a_replica_that_dies_is_asked_for_again_at_once(
    pool: Called, stand_in: StandIn, model: Manifest, fault: Reply | None
) -> None:
    stand_in.replies = [fault, fault]
    pauses = Pauses()
    assert len(pool(stand_in.address, pauses).ask("predict", model, films(1, model.size)).logits) == 1
    assert len(stand_in.requests) == 3
    assert pauses == [0.1, 0.5]


FAULTS: list[tuple[list[Reply | None], tuple[str, str]]] = [
    ([(500, {}, b"")] * 3, ("POOL_AWAY", "answered with HTTP status 500")),
    ([None] * 3, ("POOL_AWAY", "no connection with the pool")),
    (
        [(404, {}, b"")],
        ("POOL_MODEL", "does not have the model small:1.0.0; deploy it with `cxr-node pool deploy small"),
    ),
    (
        [(409, {DIGEST: "e" * 64}, b"")],
        ("POOL_MODEL", f"another build of the model small:1.0.0: its digest is {'e' * 12}"),
    ),
    ([(200, {DIGEST: "e" * 64}, b"")], ("POOL_MODEL", "another build")),
    ([(200, {}, b"")], ("POOL_MODEL", "another build")),
]


@pytest.mark.parametrize(("replies", "told"), FAULTS)
def test_a_pool_that_does_not_answer_costs_a_retry(
    pool: Called, stand_in: StandIn, model: Manifest, replies: list[Reply | None], told: tuple[str, str]
) -> None:
    stand_in.replies = replies
    with pytest.raises(Transient) as caught:
        PooledPredictor(model, pool(stand_in.address), None).predict(films(1, model.size))
    code, said = told
    assert caught.value.code == code
    assert said in caught.value.message
    assert stand_in.address in caught.value.message
    assert stand_in.replies == []


def _maps(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no safetensors",
        packed(activations=_maps(1, 2, 4, 4)),
        packed(logits=_maps(1, 2)),
        packed(logits=_maps(2, 2), activations=_maps(2, 2, 4, 4)),
        packed(logits=_maps(1, 3), activations=_maps(1, 3, 4, 4)),
        packed(logits=_maps(1, 2), activations=_maps(1, 2, 4)),
    ],
)
def test_an_answer_that_is_none_is_told(pool: Called, stand_in: StandIn, model: Manifest, body: bytes) -> None:
    stand_in.replies = [(200, {DIGEST: model.digest}, body)]
    with pytest.raises(Transient) as caught:
        pool(stand_in.address).ask("predict", model, films(1, model.size))
    assert caught.value.code == "POOL_ANSWER"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}"])
def test_a_look_that_is_no_answer_is_told(pool: Called, stand_in: StandIn, model: Manifest, body: bytes) -> None:
    stand_in.replies = [(200, {}, body)]
    with pytest.raises(Transient, match="what is no answer"):
        pool(stand_in.address).look(model)


def test_a_pool_that_is_gone_is_told(pool: Called, model: Manifest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Transient) as caught:
        pool(f"http://127.0.0.1:{port}").look(model)
    assert caught.value.code == "POOL_AWAY"


def test_a_pool_that_is_slow_is_not_asked_again_at_once(pool: Called, model: Manifest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes connections, and says nothing
        pauses = Pauses()
        slow = pool(f"http://127.0.0.1:{server.getsockname()[1]}", pauses, timeout=0.05)
        with pytest.raises(Transient) as caught:
            slow.ask("predict", model, films(1, model.size))
    assert (caught.value.code, pauses) == ("POOL_SLOW", [])


def test_all_requests_of_a_question_share_its_time(stand_in: StandIn, model: Manifest) -> None:
    clock = Clock(0.0)
    stand_in.replies = [(500, {}, b"")] * 3
    patient = Pool(stand_in.address, 1.0, pauses=(0.4, 0.7), sleep=clock.turn, monotonic=clock)
    with closing(patient), pytest.raises(Transient) as caught:
        patient.ask("predict", model, films(1, model.size))
    assert (caught.value.code, len(stand_in.requests)) == ("POOL_SLOW", 2)


def test_this_machine_computes_while_the_pool_is_away(
    pool: Called, stand_in: StandIn, model: Manifest, local: Predictor
) -> None:
    clock = Clock(0.0)
    there = PooledPredictor(model, pool(stand_in.address), local, clock)
    assert there.device == f"pool {stand_in.address}, else cpu"
    batch, wanted = films(1, model.size), local.predict(films(1, model.size))[0].logits

    def asked() -> int:
        before = len(stand_in.requests)
        np.testing.assert_array_equal(there.predict(batch)[0].logits, wanted)
        return len(stand_in.requests) - before

    for rest in (5, 10, 20, 40, 60, 60):
        stand_in.replies = [(404, {}, b"")]
        assert asked() == 1, "it is asked, and does not have the model"
        clock.turn(rest - 0.1)
        assert asked() == 0, "it is left alone"
        clock.turn(0.2)
    assert asked() == 1, "it is back"
    assert asked() == 1
    stand_in.replies = [(404, {}, b"")]
    np.testing.assert_array_equal(there.probe(batch), local.probe(batch))
    clock.turn(4.9)
    assert asked() == 0
    clock.turn(0.2)
    assert asked() == 1, "after a good answer it rests for 5 s again"


def test_a_model_with_classes_of_its_own(pool: Called, tmp_path: Path) -> None:
    other = small_model(tmp_path, "classes", **CLASSES)
    own = Predictor(other, "cpu")
    with StandIn(other, own) as running:
        found = PooledPredictor(other, pool(running.address), None).predict(films(1, other.size))
    np.testing.assert_array_equal(found[0].logits, own.predict(films(1, other.size))[0].logits)


def test_files_that_were_changed_here_are_refused(pool: Called, tmp_path: Path) -> None:
    changed = small_model(tmp_path, "changed")
    changed.weights.write_bytes(b"x")
    with pytest.raises(Permanent) as caught:
        PooledPredictor(changed, pool("http://127.0.0.1:1"), None)
    assert caught.value.code == "MODEL_DIGEST"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda size: packed(other=films(1, size)),
        lambda size: packed(films=films(1, size + 1)),
        lambda size: packed(films=films(1, size)[0]),
        lambda size: packed(films=films(1, size)[:0]),
        lambda size: packed(films=films(MOST_FILMS + 1, size)),
        lambda size: packed(films=films(1, size)).replace(b'"F32"', b'"I32"'),
    ],
)
def test_what_is_no_request_is_refused(spoil: Callable[[int], bytes]) -> None:
    with pytest.raises(ValueError, match=r"safetensors|wanted|precision"):
        films_of(spoil(32), 32)


def test_the_stand_in_says_what_a_replica_says(pool: Called, stand_in: StandIn, model: Manifest) -> None:
    stand_in.replies = [(200, {}, json.dumps({"digest": model.digest, "device": "cuda (NVIDIA H200)"}).encode())]
    assert pool(stand_in.address).look(model).device == "cuda (NVIDIA H200)"
