"""Keys in files, and the pseudonyms that are made with them."""

import string
from pathlib import Path

import pytest

from cxr_node import keys
from cxr_node.domain.pseudonym import Pseudonyms, is_study_pseudonym
from cxr_node.errors import Permanent

UID = "1.2.826.0.1.3680043.8.498.1"


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    made = keys.pseudonyms(tmp_path / "var", create=True)
    path = tmp_path / "var" / "pseudonym.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.pseudonyms(tmp_path / "var", create=True) == made == keys.pseudonyms(tmp_path / "var", create=False)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_key_does_not_show_itself(tmp_path: Path) -> None:
    made = keys.pseudonyms(tmp_path, create=True)
    assert (tmp_path / "pseudonym.key").read_text() not in repr(made)
    assert made.key.hex() not in repr(made)


@pytest.mark.parametrize(("content", "mode", "sentence"), [
    (None, 0, "cannot be read"), ("not hexadecimal", 0o600, "damaged"), ("ab" * 32, 0o640, "others"),
])  # fmt: skip
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, mode: int, sentence: str) -> None:
    if content is not None:
        (tmp_path / "pseudonym.key").write_text(content)
        (tmp_path / "pseudonym.key").chmod(mode)
    with pytest.raises(Permanent, match=sentence) as refused:
        keys.pseudonyms(tmp_path, create=False)
    assert refused.value.code == "KEY_FILE"


def test_the_key_of_the_site_is_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    assert keys.site_key(path) == b"ab" * 32
    path.write_text("short")
    with pytest.raises(Permanent, match="shorter"):
        keys.site_key(path)


def test_a_pseudonym_is_the_same_each_time_and_tells_nothing() -> None:
    node, other = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
    name = node.study(UID)
    assert name == node.study(UID) != other.study(UID) != node.study(UID + "1")
    assert is_study_pseudonym(name)
    assert not is_study_pseudonym(UID)
    assert set(name[2:]) <= set(string.ascii_lowercase + string.digits)
    assert len(name) == 14


def test_purposes_and_parts_do_not_run_into_each_other() -> None:
    node = Pseudonyms(b"a" * 32)
    assert len({node.digest("p", "ab", "c"), node.digest("p", "a", "bc"), node.digest("pa", "b", "c")}) == 3
    assert node.number("p", "x") != node.number("q", "x")
