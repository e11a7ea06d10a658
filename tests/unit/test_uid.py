"""UIDs derived from content: the same for the same, another for anything else, and valid."""

import re

import pytest

from cxr_node.domain.uid import derive_uid

ROOT = "1.2.826.0.1.3680043.10.999"
VALID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


@pytest.mark.parametrize("root", ["2.25", ROOT, "1.2", "1.2." + "3" * 29])
def test_valid_and_at_most_64_characters(root: str) -> None:
    uids = {derive_uid(root, [str(number)]) for number in range(200)}
    assert len(uids) == 200
    for uid in uids:
        assert VALID.fullmatch(uid)
        assert len(uid) <= 64
        assert uid.startswith(root + ".")


def test_the_same_content_gives_the_same_uid_for_ever() -> None:
    assert derive_uid("2.25", ["a", "b"]) == "2.25.291933186733187350061899671185185929931"
    assert derive_uid(ROOT, ["a", "b"]) == ROOT + ".1134419512910259127370474075811671672"


@pytest.mark.parametrize("root", ["2.25", ROOT])
def test_where_one_part_ends_and_the_next_begins_matters(root: str) -> None:
    lists = (["ab", "c"], ["a", "bc"], ["abc"], ["", "abc"], ["abc", ""], ["1:a", "bc"], ["a1:b", "c"], [])
    assert len({derive_uid(root, parts) for parts in lists}) == len(lists)


def test_under_2_25_the_suffix_is_a_version_5_uuid() -> None:
    number = int(derive_uid("2.25", ["content"]).removeprefix("2.25."))
    assert number < 2**128
    assert (number >> 76) & 0xF == 5
    assert (number >> 62) & 0b11 == 0b10


def test_a_root_that_leaves_too_little_room_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves 29 characters"):
        derive_uid("1.2." + "3" * 30, ["a"])
