"""docs/quickstart.md followed word by word in a clean Debian, each command timed: `python -m tests.quickstart ROOT`.

ROOT is made by `debootstrap --variant=minbase --include=systemd bookworm ROOT`; run it as root. Systemd is started in
it, in namespaces of its own but for the network; the tree as committed is cloned into it, and the commands of the page
are given as they stand, in order. What the page leaves to its reader is done for him: he edits the configuration, has a
film at hand, waits, and knows its UID. It ends with exit status 1 where a command fails that should not.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.films import chest
from tests.node import wait_for

SOURCE = Path(__file__).parents[1]
PAGE = SOURCE / "docs" / "quickstart.md"
TREE = "/srv/cxr_node"
CONFIGURATION = "etc/cxr-node/cxr-node.toml"
MAY_FAIL = {"cxr-node check"}
"""The PACS of the page is nowhere: check says so."""
READY = "until cxr-node status | grep -q 'inference  *ready'; do sleep 1; done"
JUDGED = "until cxr-node worklist | grep -q analysed; do sleep 1; done"
BOOT = """
mount --rbind "$0" "$0" && cd "$0" && mkdir -p outside && pivot_root . outside
for kind in proc sysfs:sys tmpfs:run cgroup2:sys/fs/cgroup; do mount -t ${kind%:*} none "/${kind#*:}"; done
mount --rbind /outside/dev /dev && umount -l /outside
exec env container=other /lib/systemd/systemd
"""
NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--cgroup")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """The kind and the text of each block of code, in order."""
    yield from re.findall(r"```(sh|toml)\n(.*?)```", page, re.DOTALL)


def commands(page: str) -> list[str]:
    """Every command of a page as it is typed, without what is said behind it."""
    lines = [line for kind, text in blocks(page) if kind == "sh" for line in text.splitlines()]
    return [re.sub(r"\s+# .*", "", line) for line in lines if line and not line.startswith("#")]


def edited(configuration: str, block: str) -> str:
    """The configuration as a person leaves it who was shown a block: keys of tables set, repeated tables added."""
    for head, text in re.findall(r"^(\[+[a-z0-9.]+\]+)\n(.*?)(?=^\[|\Z)", block, re.MULTILINE | re.DOTALL):
        if head.startswith("[["):
            configuration += f"\n{head}\n{text}"
            continue
        before, _, after = configuration.partition(f"\n{head}")
        for line, key in re.findall(r"^((\w+) = .*)$", text, re.MULTILINE):
            after = re.sub(rf"^{key} = .*$", lambda _, line=line: line, after, count=1, flags=re.MULTILINE)
        configuration = f"{before}\n{head}{after}"
    return configuration


class Clean:
    """A clean Debian with the source tree as committed and a film, in which commands are given."""

    def __init__(self, root: Path) -> None:
        self.root = root
        tree = root / TREE.strip("/")
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", SOURCE, tree], check=True)
        chest().save_as(tree / "film.dcm", enforce_file_format=True)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        self._outside = subprocess.Popen(["unshare", *NAMESPACES, "--fork", "sh", "-c", BOOT, root])

    def __enter__(self) -> Self:
        wait_for(self._init, what="init")
        up = "systemctl is-system-running | grep -E 'running|degraded'"
        wait_for(lambda: self._inside(up).returncode == 0, what="systemd")
        return self

    def __exit__(self, *_: object) -> None:
        """Init dies, and all that runs there with it."""
        os.kill(self._init(), signal.SIGKILL)
        self._outside.wait()

    def _init(self) -> int:
        children = Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children").read_text()
        return int(children or 0)

    def _inside(self, command: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "--target", str(self._init()), *NAMESPACES, "/bin/bash", "-c", command]
        return subprocess.run(enter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def give(self, command: str) -> str:
        """Give a command and show how long it took and what it said; its output."""
        begun = time.monotonic()
        done = self._inside(f"cd {TREE} && {command}")
        print(f"{time.monotonic() - begun:6.1f} s  exit {done.returncode}  {command}", flush=True)
        print("".join(f"          {line}\n" for line in done.stdout.splitlines()[-30:]), end="", flush=True)
        if done.returncode != 0 and command not in MAY_FAIL:
            raise SystemExit(f"the page's reader is stuck at: {command}")
        return done.stdout

    def edit(self, block: str) -> None:
        path = self.root / CONFIGURATION
        path.write_text(edited(path.read_text("utf-8"), block), "utf-8")


def follow(clean: Clean) -> None:
    """Do what the page says."""
    uid = ""
    for kind, text in blocks(PAGE.read_text("utf-8")):
        if kind == "toml":
            clean.edit(text)
            continue
        for command in commands(f"```sh\n{text}```"):
            said = clean.give(command.replace("UID", uid))
            if command == "cxr-node worklist":
                uid = re.findall(r"\b2\.25\.\d+|\b1\.[0-9.]{10,}", said)[0]
            if command.startswith("systemctl"):
                clean.give(READY)
            if command.startswith("storescu"):
                clean.give(JUDGED)


if __name__ == "__main__":
    begun = time.monotonic()
    with Clean(Path(sys.argv[1])) as clean:
        follow(clean)
    print(f"{time.monotonic() - begun:6.1f} s in all")
