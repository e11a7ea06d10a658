"""Two nodes behind a floating address, and behind a balancer, by the files of config/pair: each host is a network
namespace, and X-ray machines have one address that leads to the node that works."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from tests.films import chest
from tests.node import Node, wait_for

CONFIG = Path(__file__).parents[2] / "config" / "pair"
TOOLS = ("haproxy", "ip", "keepalived", "ss", "storescu")
HOSTS = {"north": "10.20.0.11", "south": "10.20.0.12", "balancer": "10.20.0.20", "xray": "10.20.0.21"}
FLOATING, BALANCED, PORT = "10.20.0.10", HOSTS["balancer"], 11112

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason="Debian's haproxy, keepalived, iproute2 or dcmtk is not installed"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are made by root alone"),
]


class Network:
    """Hosts on one wire; the commands `within` them."""

    def __init__(self, ending: ExitStack) -> None:
        self._mark, self._ending = f"cxr{os.getpid()}", ending
        made = self._ip("netns", "add", self._name("lan"))
        if made.returncode:
            pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        ending.callback(self._ip, "netns", "del", self._name("lan"))
        self._must("-n", self._name("lan"), "link", "add", "wire", "type", "bridge")
        self._must("-n", self._name("lan"), "link", "set", "wire", "up")
        for host, address in HOSTS.items():
            self._join(host, address)

    def within(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", self._name(host)]

    def runs(self, host: str, log: Path, *command: str) -> None:
        """A service of a host, until the test ends."""
        stream = self._ending.enter_context(log.open("wb"))
        process = subprocess.Popen([*self.within(host), *command], stdout=stream, stderr=stream)
        self._ending.callback(process.wait, 30)
        self._ending.callback(process.terminate)

    def addresses(self, host: str) -> str:
        return self._ip("-n", self._name(host), "-4", "-o", "address").stdout

    def _join(self, host: str, address: str) -> None:
        lan, name = self._name("lan"), self._name(host)
        self._must("netns", "add", name)
        self._ending.callback(self._ip, "netns", "del", name)
        self._must("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", host, "netns", lan)
        self._must("-n", lan, "link", "set", host, "master", "wire", "up")
        self._must("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            self._must("-n", name, "link", "set", link, "up")

    def _name(self, host: str) -> str:
        return f"{self._mark}-{host}"

    def _must(self, *arguments: str) -> None:
        done = self._ip(*arguments)
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _ip(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as ending:
        yield Network(ending)


@pytest.fixture
def nodes(tmp_path: Path, network: Network) -> Iterator[dict[str, Node]]:
    """The first one works, the other one stands by."""
    found = {
        host: Node(
            tmp_path / host, within=network.within(host), node__data_dir=str(tmp_path / "node"), pair__name=host,
            pair__lease_seconds=3, receive__host="0.0.0.0", receive__port=PORT,
        )
        for host in ("north", "south")
    }  # fmt: skip
    with ExitStack() as ending:
        for node, event in zip(found.values(), ("node.ready", "pair.standing_by"), strict=True):
            ending.callback(node.close)
            node.launch()
            wait_for(lambda: node.logged(event), what=event)  # noqa: B023 - it is called in this round
        yield found


def keepalived(network: Network, host: str, folder: Path) -> None:
    """With the lines that differ."""
    text = (CONFIG / "keepalived.conf").read_text("utf-8")
    if host == "south":
        other = {HOSTS["north"]: HOSTS["south"], HOSTS["south"]: HOSTS["north"]}
        text = re.sub(r"10\.20\.0\.1[12]\b", lambda found: other[found[0]], text)
    file = folder / f"keepalived-{host}.conf"
    file.write_text(text, "utf-8")
    pids = [f"--{name}={folder / host}-{name}" for name in ("pid", "vrrp_pid")]
    network.runs(host, folder / f"{host}.log", "keepalived", "-P", "-n", "-l", "-f", str(file), *pids)


def test_whichever_host_works_both_addresses_lead_to_it(
    tmp_path: Path, network: Network, nodes: dict[str, Node]
) -> None:
    for host in nodes:
        keepalived(network, host, tmp_path)
    network.runs("balancer", tmp_path / "haproxy.log", "haproxy", "-f", str(CONFIG / "haproxy.cfg"))

    def sent(node: Node, film: FileDataset, address: str) -> Callable[[], bool]:
        command = [*network.within("xray"), "storescu", "-xe", "-to", "5", "-aec", "CXR_NODE", address, str(PORT)]
        path = str(node.written(film))
        return lambda: subprocess.run([*command, path], capture_output=True, check=False).returncode == 0

    films = [chest(), chest()]
    for address in (FLOATING, BALANCED):
        wait_for(sent(nodes["north"], films[0], address), what=f"a film taken at {address}")
    assert (FLOATING in network.addresses("north"), FLOATING in network.addresses("south")) == (True, False)

    nodes["north"].kill()
    nodes["north"].kill("")

    for address in (FLOATING, BALANCED):
        wait_for(sent(nodes["south"], films[1], address), what=f"a film taken at {address} by the other one")
    assert (FLOATING in network.addresses("north"), FLOATING in network.addresses("south")) == (False, True)
    studies = nodes["south"].wait_final(*(film.StudyInstanceUID for film in films))
    assert [len(study["instances"]) for study in studies] == [1, 1], "whoever sends to both has it taken once"
    assert [len(study["outputs"]) for study in studies] == [2, 2]
