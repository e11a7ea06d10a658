"""What `check` says of copies, of how long files stay, and of the log."""

from pathlib import Path

import pytest

from cxr_node.config import Config
from cxr_node.upkeep_checks import look


def found(**tables: object) -> dict[str, tuple[str, str]]:
    return {subject: (verdict, text) for verdict, subject, text in look(Config.model_validate(tables))}


def test_as_it_is_installed() -> None:
    assert {subject: verdict for subject, (verdict, _) in found().items()} == {"backup": "note", "retention": "note"}
    assert "onto the same disk" in found()["backup"][1]
    assert "for ever" in found()["retention"][1]


@pytest.mark.parametrize(
    ("backup", "verdict", "said"),
    [({"hours": 0}, "warning", "copied by nobody"), ({"folder": "/nowhere"}, "failed", "/nowhere is not there")],
)
def test_copies_that_are_not_made(backup: dict[str, object], verdict: str, said: str) -> None:
    assert found(backup=backup)["backup"][0] == verdict
    assert said in found(backup=backup)["backup"][1]


def test_a_folder_of_the_sites_own(tmp_path: Path) -> None:
    assert found(backup={"folder": str(tmp_path)})["backup"] == (
        "ok", f"the database is copied every 24 h to {tmp_path}",
    )  # fmt: skip


def test_how_long_files_stay() -> None:
    limits = {"days": 90, "max_gigabytes": 200}
    verdict, said = found(retention=limits)["retention"]
    assert (verdict, "stay for 90 days or up to 200 GB; what nobody marks" in said) == ("note", True)
    assert found(retention=limits, worklist={"read_after_hours": 48})["retention"][0] == "ok"


def test_a_log_that_cannot_be_written() -> None:
    assert found(log={"file": "/nowhere/node.log"})["log file"] == ("failed", "log.file: /nowhere is not there")
