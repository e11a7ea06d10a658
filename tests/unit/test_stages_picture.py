"""Pictures of films that the process which drew them could not leave."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from cxr_node.domain.finding import ModelIdentity
from cxr_node.domain.quality import Assessment, Flag, Reading
from cxr_node.errors import Permanent
from cxr_node.imaging import decode, read_picture, render
from cxr_node.imaging.picture import encode_picture
from cxr_node.stages.assembly import Desk
from cxr_node.stages.picture import picture_of
from tests import films
from tests.unit.test_stages import Node

READING = Reading({"frontal": 1.0, "lateral": 0, "other": 0, "blank": 0}, {0: 1, 90: 0, 180: 0, 270: 0}, 1, 0, 1)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def judged(node: Node, flags: tuple[Flag, ...] = ()) -> tuple[str, FileDataset]:
    """A film that was judged and has no picture; its digest, and the film."""
    film = films.chest()
    node.begin(0.9).send(film)
    node.gate.verdict = Assessment(ModelIdentity("gate", "1.0.0", "d" * 64), READING, flags)
    node.work("analyse")
    (row,) = node.rows("SELECT digest FROM instance")
    node.spool.picture(row["digest"]).unlink()
    return row["digest"], film


@pytest.mark.parametrize("flags", [(), (Flag.INVERTED,)])
def test_a_picture_that_is_not_there_is_drawn_and_kept(node: Node, flags: tuple[Flag, ...]) -> None:
    digest, film = judged(node, flags)
    found = picture_of(node.store, node.spool, digest)
    assert np.array_equal(found, render(decode(film), film, inverted=bool(flags)))
    assert np.array_equal(read_picture(node.spool.picture(digest)), found)


def test_half_a_picture_is_none(node: Node) -> None:
    digest, film = judged(node)
    node.spool.picture(digest).write_bytes(b"\x89PNG")
    assert np.array_equal(picture_of(node.store, node.spool, digest), render(decode(film), film))


def test_a_picture_that_the_disk_does_not_take_is_shown_all_the_same(node: Node) -> None:
    digest, film = judged(node)
    node.spool.incoming.rmdir()
    assert np.array_equal(picture_of(node.store, node.spool, digest), render(decode(film), film))


def test_without_the_film_there_is_no_picture(node: Node) -> None:
    digest, _ = judged(node)
    node.spool.path(node.rows("SELECT path FROM instance")[0]["path"]).unlink()
    with pytest.raises(Permanent, match="requeue the study") as raised:
        picture_of(node.store, node.spool, digest)
    assert raised.value.code == "PICTURE_MISSING"


def test_a_film_that_was_not_judged_is_not_drawn(node: Node) -> None:
    node.begin().send(films.chest())
    (row,) = node.rows("SELECT digest FROM instance")
    with pytest.raises(Permanent, match="no picture of this film yet"):
        picture_of(node.store, node.spool, row["digest"])


def test_a_picture_that_is_being_drawn_is_waited_for(node: Node) -> None:
    digest, _ = judged(node)

    def pauses() -> Iterator[float]:
        yield 0.0
        node.spool.write(node.spool.picture(digest), encode_picture(np.full((3, 2), 7, np.uint8)))
        yield 0.0
        pytest.fail("it is there")

    desk = Desk(node.store, node.spool, {}, {}, {}, {}, {}, False, node.clock, pauses())
    assert desk.picture(SimpleNamespace(digest=digest)).tolist() == [[7, 7]] * 3  # type: ignore[arg-type]
