"""A pool of networks on other machines, as a node sees it: what it is asked over HTTP, and what it answers.

`GET /NAME/VERSION` says which build of a model the pool has, and what computes it. `POST /NAME/VERSION/predict` has
films as `imaging.prepare` makes them, in single precision, so that the network there sees them to the last bit; its
answer has logits and maps. `probe` is the same for golden outputs. Films and answers are safetensors; the header
`DIGEST` names the build, on both ways. Nothing else of a film goes there: no header, no name. This module is free of
torch and of Ray.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cxr_node.errors import Transient
from cxr_node.inference.manifest import Manifest
from cxr_node.message import Message

DIGEST: Final = "X-Model-Digest"
EXPLANATION: Final = "X-Explanation"
MOST_FILMS: Final = 32
"""Films in one request at most; a replica takes that many whatever its batches are."""
Question = Literal["predict", "probe"]
Floats = NDArray[np.float32]
_CONNECT_SECONDS: Final = 2.0
_PAUSES: Final = (0.1, 0.5)
"""Seconds between the tries of a request: what a replica was asked that died, another answers."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A model as a pool has it: the digest of its build, and the device of the replica that answered."""

    digest: str
    device: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Logits (n, outputs) and, of a prediction, maps (n, outputs, h, w), and how these were made."""

    logits: Floats
    activations: Floats | None
    explanation: str


class _Passing(Transient):
    """It may work at once: another replica can be asked."""


class Pool:
    """The pool at an address such as http://gpu.example.org:8000; it may be shared between threads.

    `timeout` in seconds, for all that a question takes. What is asked raises Transient: POOL_AWAY where nobody answers,
    or with a fault; POOL_SLOW where not in time; POOL_MODEL where the pool does not have this build; POOL_ANSWER where
    an answer is none.
    """

    def __init__(
        self,
        address: str,
        timeout: float,
        pauses: Sequence[float] = _PAUSES,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address.rstrip("/")
        self._timeout, self._pauses, self._sleep, self._monotonic = timeout, pauses, sleep, monotonic
        self._client = httpx2.Client(trust_env=False)

    def close(self) -> None:
        """Give up the connections that are kept for the next question."""
        self._client.close()

    def look(self, model: Manifest) -> Standing:
        """Which build of a model, by its name and version, stands there; another one than `model` is no failure."""
        answer = self._asked(self._until(), "GET", model, "")
        try:
            said = answer.json()
            return Standing(str(said["digest"]), str(said["device"]))
        except (ValueError, LookupError, TypeError) as error:
            raise self._no_answer() from error

    def ask(self, question: Question, model: Manifest, films: Floats) -> Answer:
        """What the pool says of films (n, size, size), float32 in 0..1."""
        parts = [films[start : start + MOST_FILMS] for start in range(0, len(films), MOST_FILMS)]
        until = self._until()
        answers = [self._part(until, question, model, part) for part in parts]
        maps = [each.activations for each in answers if each.activations is not None]
        logits = np.concatenate([each.logits for each in answers])
        return Answer(logits, np.concatenate(maps) if maps else None, answers[0].explanation)

    def _until(self) -> float:
        return self._monotonic() + self._timeout

    def _part(self, until: float, question: Question, model: Manifest, films: Floats) -> Answer:
        headers = {DIGEST: model.digest, "Content-Type": "application/octet-stream"}
        answer = self._asked(until, "POST", model, f"/{question}", headers=headers, content=packed(films=films))
        if (found := answer.headers.get(DIGEST, "")) != model.digest:
            raise self._other_build(model, found)
        try:
            said = unpacked(answer.content)
            logits, maps = said["logits"], said.get("activations")
        except (ValueError, LookupError) as error:
            raise self._no_answer() from error
        shape = (len(films), model.outputs.count)
        fits = maps is None if question == "probe" else maps is not None and maps.ndim == 4 and maps.shape[:2] == shape
        if logits.shape != shape or not fits:
            raise self._no_answer()
        return Answer(logits, maps, answer.headers.get(EXPLANATION, ""))

    def _asked(self, until: float, method: str, model: Manifest, path: str, **more: Any) -> httpx2.Response:
        url = f"{self.address}/{model.name}/{model.version}{path}"
        for pause in self._pauses:
            try:
                return self._once(until, method, url, model, **more)
            except _Passing:
                self._sleep(pause)
        return self._once(until, method, url, model, **more)

    def _once(self, until: float, method: str, url: str, model: Manifest, **more: Any) -> httpx2.Response:
        slow = Transient("POOL_SLOW", Message("the pool {address} does not answer in time", address=self.address))
        if (left := until - self._monotonic()) <= 0:
            raise slow
        limit = httpx2.Timeout(left, connect=min(left, _CONNECT_SECONDS))
        try:
            answer = self._client.request(method, url, timeout=limit, **more)
        except httpx2.TimeoutException as error:
            raise slow from error
        except httpx2.TransportError as error:
            why = Message("no connection with the pool {address}: {error}", address=self.address, error=error)
            raise _Passing("POOL_AWAY", why) from error
        if answer.status_code == 404:
            why = Message(
                "the pool {address} does not have the model {model}; deploy it with `cxr-node pool deploy {model}`",
                address=self.address,
                model=model.called,
            )
            raise Transient("POOL_MODEL", why)
        if answer.status_code == 409:
            raise self._other_build(model, answer.headers.get(DIGEST, ""))
        if answer.status_code != 200:
            why = Message(
                "the pool {address} answered with HTTP status {status}",
                address=self.address,
                status=answer.status_code,
            )
            raise _Passing("POOL_AWAY", why)
        return answer

    def _other_build(self, model: Manifest, found: str) -> Transient:
        why = Message(
            "the pool {address} has another build of the model {model}: its digest is {found}, not {wanted}",
            address=self.address,
            model=model.called,
            found=found[:12],
            wanted=model.digest[:12],
        )
        return Transient("POOL_MODEL", why)

    def _no_answer(self) -> Transient:
        return Transient(
            "POOL_ANSWER", Message("the pool {address} answers with what is no answer", address=self.address)
        )


def packed(**arrays: Floats) -> bytes:
    """Arrays by their names, as they are sent."""
    return save({name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()})


def unpacked(data: bytes) -> Mapping[str, Floats]:
    """The inverse of `packed`. Raises ValueError for what is none, or not in single precision."""
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise ValueError(f"no safetensors: {error}") from error
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError("not in single precision")
    return arrays


def films_of(data: bytes, size: int) -> Floats:
    """The films (n, size, size) of a request. Raises ValueError, with a sentence, where they are none."""
    films = unpacked(data).get("films")
    if films is None or films.ndim != 3 or films.shape[1:] != (size, size) or not 0 < len(films) <= MOST_FILMS:
        raise ValueError(f"films are wanted as (n, {size}, {size}), {MOST_FILMS} of them at most")
    return films
