"""A replica of the pool without a cluster: what it answers to whom, and what it does not load."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response

from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.pool import DIGEST, packed, unpacked
from cxr_node.inference.predictor import Predictor
from tests.models import one_thread, small_model

if TYPE_CHECKING:
    from cxr_node.pool.replica import Replica

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]  # Ray itself: it takes seconds


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return small_model(tmp_path_factory.mktemp("models"), "small")


@pytest.fixture
def replica(model: Manifest) -> "Replica":
    from cxr_node.pool.replica import Replica

    return Replica(str(model.directory.parents[1]), model.called, model.digest, 32)


def request(method: str, path: str, body: bytes = b"", **headers: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    known = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": known}
    return Request(scope, receive)


def asked(replica: "Replica", *requests: Request) -> list[Response]:
    async def together() -> list[Response]:
        return await asyncio.gather(*(replica(each) for each in requests))

    return asyncio.run(together())


def films(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, size, size)).astype(np.float32)


def test_it_says_which_build_it_has(replica: "Replica", model: Manifest) -> None:
    (answer,) = asked(replica, request("GET", "/small/1.0.0"))
    assert json.loads(answer.body) == {"digest": model.digest, "device": "cpu"}


def test_golden_outputs_can_be_asked_for(replica: "Replica", model: Manifest) -> None:
    batch = films(2, model.size)
    (answer,) = asked(replica, request("POST", "/small/1.0.0/probe", packed(films=batch), **{DIGEST: model.digest}))
    np.testing.assert_allclose(unpacked(answer.body)["logits"], Predictor(model, "cpu").probe(batch), atol=1e-5)


def test_who_means_another_build_or_sends_no_films_is_refused(replica: "Replica", model: Manifest) -> None:
    body = packed(films=films(1, model.size))
    other, none, bad = asked(
        replica,
        request("POST", "/small/1.0.0/predict", body, **{DIGEST: "e" * 64}),
        request("POST", "/small/1.0.0/predict", body),
        request("POST", "/small/1.0.0/predict", b"x", **{DIGEST: model.digest}),
    )
    assert (other.status_code, none.status_code, bad.status_code) == (409, 409, 400)
    assert other.headers[DIGEST] == model.digest


def test_a_build_that_is_not_the_one_deployed_is_not_loaded(model: Manifest, tmp_path: Path) -> None:
    from cxr_node.pool.replica import Replica

    folder = str(model.directory.parents[1])
    with pytest.raises(Permanent, match="another build on this machine"):
        Replica(folder, model.called, "e" * 64, 32)
    with pytest.raises(ConfigError, match="no model other"):
        Replica(folder, "other:1.0.0", model.digest, 32)
    changed = small_model(tmp_path, "changed")
    changed.weights.write_bytes(b"x")
    with pytest.raises(Permanent, match="not as released"):
        Replica(str(tmp_path), changed.called, changed.digest, 32)
