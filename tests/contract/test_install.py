"""The installation, with a stand-in for the environment that takes minutes: what it makes, keeps and removes."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="folders of another user can be made by root alone"),
]
PYTHON = f"""#!/bin/sh
if [ "$1" = -m ]; then
    mkdir -p "$3/bin"
    printf '#!/bin/sh\\n[ -z "$BREAK" ]\\n' > "$3/bin/pip"
    printf '#!/bin/sh\\necho cxr-node\\n' > "$3/bin/cxr-node"
    chmod +x "$3/bin/pip" "$3/bin/cxr-node"
else
    exec {sys.executable} "$@"
fi
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path / "root"


def run(root: Path, *arguments: str, wheel: str = "one", **environment: str) -> subprocess.CompletedProcess[str]:
    (root.parent / "wheel").write_text(wheel)
    known = {"DESTDIR": str(root), "PYTHON": str(root.parent / "python"), "WHEEL": str(root.parent / "wheel")}
    return subprocess.run(
        [ROOT / "tools" / "install.sh", *arguments],
        env=os.environ | known | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def release(root: Path) -> str:
    return (root / "opt/cxr-node/bin/cxr-node").readlink().parts[2]


def releases(root: Path) -> set[str]:
    return {path.name for path in (root / "opt/cxr-node/releases").iterdir()}


def test_everything_is_in_its_place(root: Path) -> None:
    done = run(root)
    assert done.returncode == 0, done.stderr
    for name in (
        "etc/systemd/system/cxr-node.service", "usr/lib/sysusers.d/cxr-node.conf", "usr/lib/tmpfiles.d/cxr-node.conf",
        "usr/share/doc/cxr-node/cxr-node.toml", "usr/share/doc/cxr-node/examples/hospital.toml",
        "usr/share/doc/cxr-node/operations.md", "usr/share/doc/cxr-node/configuration.md",
        "usr/local/bin/cxr-node",
    ):  # fmt: skip
        assert (root / name).is_file(), name
    made = tomllib.loads((root / "etc/cxr-node/cxr-node.toml").read_text("utf-8"))
    assert made["node"]["data_dir"] == "/var/lib/cxr-node"
    assert (root / "etc/cxr-node/cxr-node.toml").stat().st_mode & 0o777 == 0o640
    assert (root / "var/lib/cxr-node").stat().st_mode & 0o777 == 0o700
    assert subprocess.run([root / "opt/cxr-node/bin/cxr-node"], capture_output=True, check=True).stdout == b"cxr-node\n"


def test_the_same_again_changes_nothing_and_keeps_the_configuration(root: Path) -> None:
    run(root)
    config, before = root / "etc/cxr-node/cxr-node.toml", release(root)
    config.write_text("# mine")
    again = run(root)
    assert f"release {before} is there" in again.stdout
    assert "stays as it is" in again.stdout
    assert (config.read_text(), release(root), releases(root)) == ("# mine", before, {before})


def test_an_upgrade_keeps_the_release_of_before_and_rollback_brings_it_back(root: Path) -> None:
    assert "there is no release before this one" in run(root, "rollback").stderr
    run(root)
    one = release(root)
    run(root, wheel="two")
    two = release(root)
    assert releases(root) == {one, two}
    back = run(root, "rollback")
    assert f"release {one} is in use" in back.stdout
    assert release(root) == one
    run(root, wheel="three")
    assert releases(root) == {one, release(root)}


def test_what_cannot_be_made_leaves_the_release_that_is_in_use(root: Path) -> None:
    run(root)
    before = release(root)
    broken = run(root, wheel="two", BREAK="yes")
    assert broken.returncode != 0
    assert (release(root), releases(root)) == (before, {before})


def test_uninstalling_leaves_the_data_unless_it_is_told_otherwise(root: Path) -> None:
    run(root)
    (root / "var/lib/cxr-node/film").write_text("x")
    assert "stay" in run(root, "uninstall").stdout
    assert not (root / "opt/cxr-node").exists()
    assert not (root / "etc/systemd/system/cxr-node.service").exists()
    assert (root / "var/lib/cxr-node/film").exists()
    run(root, "uninstall", "--purge")
    assert not (root / "var/lib/cxr-node").exists()
    assert not (root / "etc/cxr-node").exists()


def test_an_interpreter_that_is_too_old_is_said(root: Path) -> None:
    (root.parent / "python").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\n[ "$1" = --version ]\n'
    )
    done = run(root)
    assert (done.returncode, "cxr_node needs Python 3.11, 3.12 or 3.13" in done.stderr) == (1, True)
    assert "Python 3.9.2" in done.stderr


def test_what_it_does_not_know_is_said(root: Path) -> None:
    done = run(root, "frobnicate")
    assert (done.returncode, done.stderr) == (
        1,
        "install: unknown: frobnicate (install, rollback, uninstall [--purge])\n",
    )
