"""Every sentence that `cxr-node check` can print is explained in docs/operations.md, and is printed here."""

import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt

from cxr_node import attendance
from cxr_node.dimse.contexts import VERIFICATION, offered
from cxr_node.inference import agreement, build, manifest
from cxr_node.inference.site import SiteCalibration
from cxr_node.lock import only_one
from cxr_node.store import activations, events, sites, worklist
from cxr_node.store.activations import Activation, Wanted
from tests import sentences
from tests.bench import NOON, Bench, header
from tests.certificates import Authority, Pair, encrypted
from tests.doctor import MISTAKES, TORCH, Doctor, own
from tests.node import free_port
from tests.pools import Reply, StandIn
from tests.receiver import RESET, Receiver, tls_server
from tests.ris import Ris
from tests.toml import toml

EXPLAINED = sentences.explained((sentences.PACKAGE.parent / "docs" / "operations.md").read_text("utf-8"))
OWN = '[model]\ndirectory = "models"\nname = "cxr-own"\n'


def test_every_sentence_is_explained_and_no_other() -> None:
    explained = {sentence for _, sentence in EXPLAINED if sentences.is_sentence(sentence)} - sentences.OF_OTHERS
    assert (sentences.said() - explained, explained - sentences.said()) == (set(), set())


@pytest.mark.parametrize(("verdict", "sentence"), EXPLAINED)
def test_every_sentence_is_said(printed: list[str], verdict: str, sentence: str) -> None:
    wanted = sentences.pattern(sentence)
    assert [line for line in printed if line.startswith(f"{verdict:<8}") and wanted.search(line)], sentence


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What `check` prints in every situation of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        patch.delenv("CXR_NODE_CONFIG", raising=False)
        doctors = []
        for situation in SITUATIONS:
            doctors.append(Doctor(tmp_path_factory.mktemp(situation.__name__)))
            patch.chdir(doctors[-1].folder)
            situation(doctors[-1])
        for doctor in doctors:
            doctor.end()
        yield [line for doctor in doctors for line in doctor.lines]


def mistakes(check: Doctor) -> None:
    for text in MISTAKES:
        check(text)
    check("", "-c", "missing.toml")
    check('[[destination]]\nname = "a"', env={"CXR_NODE__DESTINATION__PORT": "1"})


def folders(check: Doctor) -> None:
    check('[node]\nmode = "full"\n[[destination]]\nname = "a"\nae_title = "A"\nhost = "h"\n'
          '[[worklist.hl7]]\nname = "ris"\nhost = "h"')  # fmt: skip
    check("[retention]\nwatermark_gigabytes = 1e9\ndays = 9\n[backup]\nhours = 0")
    check('[backup]\nfolder = "."\n[retention]\ndays = 9\nmax_gigabytes = 9\n[worklist]\nread_after_hours = 9')
    check('[backup]\nfolder = "gone"\n[log]\nfile = "gone/node.log"')
    for name, mode, data in (("closed", 0o555, "closed"), ("shut", 0, "shut/var")):
        (check.folder / name).mkdir()
        (check.folder / name).chmod(mode)
        check.begin(f'[node]\ndata_dir = "{data}"\n[backup]\nfolder = "closed"', powerless=True)


def databases(check: Doctor) -> None:
    path = check.folder / "var" / "cxr-node.sqlite"
    path.mkdir(parents=True)
    check()
    path.rmdir()
    store = Bench(check.folder / "var").store
    changes = [
        "UPDATE event SET time = 0 WHERE sequence = 2",
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('cxr_node', 'm999_later', '')",
        "DELETE FROM _sqlite_migrations WHERE name NOT LIKE 'm001%'",
    ]
    fill(store, 3)
    check()
    for change in changes:
        with store.transaction() as tx:
            assert tx.execute(change)
        check()
    store.close()
    path.write_bytes(b"no database" * 1000)
    check()


def two_nodes(check: Doctor) -> None:
    """`readers` is held by this process from the first command on, as by a command that goes on."""
    data, north, south = check.folder / "var", '[pair]\nname = "north"', '[pair]\nname = "south"'
    check(north)
    Bench(data).store.close()
    (data / "lease").write_text('{"term": 3, "name": "north", "since": 0.0}')
    check(south)
    with only_one(data):
        check(north)
        check(south)
        attendance.say(data, "south")
        check(north)
    (data / "lease").write_text("north")
    check(north)
    (data / "lease").unlink()
    (data / "lease").mkdir()
    check(north)


def a_damaged_database(check: Doctor) -> None:
    """Its first pages are whole, and what stands behind them is not."""
    store = Bench(check.folder / "var").store
    fill(store, 2000)
    store.tidy()
    store.close()
    path = check.folder / "var" / "cxr-node.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\x55" * (len(whole) // 2))
    check()


def fill(store: Any, count: int) -> None:
    with store.transaction() as tx:
        for number in range(count):
            events.append(tx, NOON + number, "node.started", None, text="x" * 50)


def models(check: Doctor) -> None:
    check('[model]\nname = "cxr-none"')
    check('[model]\ngate = "none"')
    check('[model]\nfurther = ["cxr-none", "cxr-covid"]\nshadow = ["cxr-x"]\nthresholds = { measles = 0.5 }\ngate = ""')
    check('[model]\ndirectory = "nowhere"')
    check(f'[model]\ndirectory = "{"x" * 300}"')
    own(check.folder / "models", name="cxr-two")
    folder = own(check.folder / "models", lambda ours: ours.update(restriction="For tests."))
    check(f'{OWN}further = ["cxr-two"]')
    (folder / "docs" / "README.md").write_text("Another card.")
    check(OWN)
    for text in ("{", "{}", '{"cxr_node": {"task": "finding"}}'):
        (folder / build.METADATA).write_text(text)
        check(OWN)
    (folder / build.METADATA).unlink()
    (folder / build.METADATA).mkdir()
    check(OWN)


def models_that_misstate_themselves(check: Doctor) -> None:
    two = {"scales": [1, 1], "biases": [0, 0], "prevalence": 0.5}
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("cxr-pneumonia", {"form": "other"}),
        ("cxr-pneumonia", {"classes": ["a", "b"]}),
        ("cxr-covid", {"classes": ["covid19"]}),
        ("cxr-covid", {"finding_classes": ["measles"]}),
        ("cxr-covid", {"calibration": two}),
        ("cxr-covid", {"calibration": two | {"biases": [0]}}),
        ("cxr-covid", {"calibration": two | {"prevalence": 2}}),
    ]
    for of, changed in wrong:
        own(check.folder / "models", lambda ours, changed=changed: ours.update(changed), of)
        check(OWN)


def a_model_that_was_activated(check: Doctor) -> None:
    folder = own(check.folder / "models")
    store = Bench(check.folder / "var").store
    activation = Activation("cxr-own", "1.0.0", manifest.load(folder).digest, "ana", NOON)
    with store.transaction() as tx:
        activations.make(tx, Wanted((activation,), "ana", NOON), activation.digest, "", NOON)
    check('[model]\ndirectory = "models"\nname = "cxr-own"')
    own(check.folder / "models", lambda ours: ours.update(restriction="Another build."))
    check(OWN)
    own(check.folder / "models").rename(check.folder / "gone")
    check(OWN)
    check(f"{OWN}prevalence = 0.2")
    store.close()


def calibrations(check: Doctor) -> None:
    model = manifest.load(own(check.folder / "models"))
    site = SiteCalibration(
        model="cxr-own", version="1.0.0", digest=model.digest, finding=model.finding, method="labels", made_at="now",
        studies=100, scale=1.0, bias=0.0, prevalence=0.5, interval=(0, 1), threshold=0.5, high=0.6,
    )  # fmt: skip
    point = {"threshold": 0.5, "high": None}
    texts = {
        "sound": site.text(),
        "again": site.text(),
        "idle": site.model_copy(update={"digest": "0" * 64}).text(),
        "one": site.model_copy(update=point).text(),
        "low": site.model_copy(update={"high": 0.1}).text(),
        "broken": "model = ",
    }
    for name, text in texts.items():
        (check.folder / f"{name}.site").write_text(text)
        check(f'{OWN}calibration = "{name}.site"')
    check(f'{OWN}calibration = ["sound.site", "again.site"]')
    check(f'{OWN}calibration = "none.site"')


def devices(check: Doctor) -> None:
    for kind, text in TORCH.items():
        (check.folder / kind).mkdir()
        (check.folder / kind / "torch.py").write_text(text)
        for device in ("auto", "cuda"):
            check(f'[inference]\ndevice = "{device}"', env={"PYTHONPATH": str(check.folder / kind)})


def another_backend(check: Doctor) -> None:
    wanted = f'{OWN}[inference]\nbackend = "openvino"'
    record = own(check.folder / "models") / agreement.RECORD
    check('[inference]\nbackend = "openvino"')
    digest = manifest.load(record.parents[1]).digest
    record.write_text(
        json.dumps({"model": digest, "backends": {"openvino": {"version": "1", "films": 1, "logits": 1}}})
    )
    check(wanted)
    record.unlink()
    check(wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "openvino", None)
        check(wanted)


def pools(check: Doctor) -> None:
    silent = check.done.enter_context(socket.create_server(("127.0.0.1", 0)))
    with StandIn(manifest.find(None, "cxr-pneumonia")) as pool:

        def look(*replies: Reply | None, offline: bool = False, **more: Any) -> None:
            pool.replies = list(replies)
            known = {"backend": "ray", "device": "cpu", "address": pool.address}
            check(toml({"inference": known | more}, {}), offline=offline)

        look()
        look(offline=True)
        look((404, {}, b""))
        look((500, {}, b""), (500, {}, b""), (500, {}, b""))
        look((200, {}, b"{}"))
        look(address=f"http://127.0.0.1:{free_port()}", fallback=False)
        look(address=f"http://127.0.0.1:{silent.getsockname()[1]}", answer_seconds=0.1)
        pool.digest = "e" * 64
        look()


def certificates(check: Doctor) -> None:
    hospital = Authority(check.folder, "hospital")
    node, other = hospital.issue("node"), hospital.issue("other")
    soon, late, early = (
        hospital.issue("soon", days=9),
        hospital.issue("late", days=-1),
        postdated(hospital.issue("early")),
    )
    Path("none.pem").write_text("nothing")
    other.key.chmod(0o644)
    pairs = [
        (node.certificate, "none.key"), (node.certificate, other.key), (node.certificate, "credential:node.key"),
        (other.certificate, other.key), (soon.certificate, soon.key), (late.certificate, late.key),
        (early.certificate, early.key),
        (node.certificate, encrypted(node)), ("none.pem", node.key), (node.certificate, "none.pem"),
    ]  # fmt: skip
    for certificate, key in pairs:
        check(f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nca = "{hospital.pem}"')
    check(f'[tls]\ncertificate = "{node.certificate}"\nkey = "credential:../key"\nca = "{hospital.pem}"',
          env={"CREDENTIALS_DIRECTORY": str(check.folder)})  # fmt: skip


def postdated(pair: Pair) -> Pair:
    """A certificate that is valid from 2049 on, by what it says: nobody has signed that."""
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    pair.certificate.write_text(ssl.DER_cert_to_PEM_cert(re.sub(rb"\x17\x0d\d\d", b"\x17\x0d49", der)))
    return pair


def pages_and_ports(check: Doctor) -> None:
    written = {"open": "", "twice": "ana:reader:scrypt$\n" * 2, "wrong": "ana", "sound": ""}
    for name, text in written.items():
        Path(name).write_text(text)
        Path(name).chmod(0o644 if name == "open" else 0o640)
    for name in (*written, "none"):
        check(f'[web]\nusers = "{name}"')
    check("[web]\nenabled = false")
    check('[web]\nhost = "0.0.0.0"\nusers = "sound"')
    check('[receive]\nhost = "192.0.2.1"')
    check(f'[hl7]\nhost = "192.0.2.1"\nport = {free_port()}\nallowed_networks = ["10.0.0.0/8"]')
    check(f'[hl7]\nhost = "0.0.0.0"\nport = {free_port()}\nallowed_networks = ["10.0.0.0/8"]')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check(f"[receive]\nport = {taken.getsockname()[1]}")


def peers_that_speak_dicom(check: Doctor) -> None:
    hospital, stranger = Authority(check.folder, "hospital"), Authority(check.folder, "stranger")
    no_echo = [context for context in offered() if context.abstract_syntax != VERIFICATION]
    with ExitStack() as open_now:
        ports = {
            "well": open_now.enter_context(listening()),
            "unknown": open_now.enter_context(listening(require_calling_aet=["OTHER"])),
            "no-echo": open_now.enter_context(listening(contexts=no_echo)),
            "failing": open_now.enter_context(listening(status=0x0110)),
            "strange": open_now.enter_context(Receiver(tls_server(stranger))).port,
            "silent": open_now.enter_context(resetting()),
            "away": free_port(),
        }
        called = [
            {"name": name, "ae_title": "PEER", "host": "127.0.0.1", "port": port, "tls": name in ("strange", "silent")}
            for name, port in ports.items()
        ]
        nowhere = {"name": "nowhere", "ae_title": "PEER", "host": "pacs.invalid"}
        check.call(destination=[*called, nowhere], tls={"ca": hospital.pem, "require_client_certificate": False})
    check('[[destination]]\nname = "pacs"\ndicomweb = "https://h/d"\ndicomweb_authorization = "credential:pacs"')


@contextmanager
def listening(*, status: int = 0x0000, **settings: Any) -> Iterator[int]:
    """A peer that answers C-ECHO with a status; its port."""
    ae, contexts = AE(ae_title="PEER"), settings.pop("contexts", offered())
    for name, value in settings.items():
        setattr(ae, name, value)
    server: Any = ae.start_server(
        ("127.0.0.1", 0), block=False, contexts=contexts, evt_handlers=[(evt.EVT_C_ECHO, lambda _: status)]
    )
    yield server.server_address[1]
    server.shutdown()


@contextmanager
def resetting() -> Iterator[int]:
    """A port that resets each connection when somebody has begun to speak."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        connection.recv(1)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


class Web(BaseHTTPRequestHandler):
    """Answers with the status that its address ends with; with 0 not at all."""

    def do_GET(self) -> None:
        if not (status := int(self.path.split("/")[1])):
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def peers_that_do_not(check: Doctor) -> None:
    """HTTP, HL7 and syslog."""
    hospital, stranger = Authority(check.folder, "hospital"), Authority(check.folder, "stranger")
    web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    at = {f"s{status}": f"http://127.0.0.1:{web.server_address[1]}/{status}" for status in (200, 404, 401, 0)}
    with Ris() as ris, resetting() as broken, Receiver() as receiver, Receiver(tls_server(stranger)) as strange:
        at["away"] = f"http://127.0.0.1:{free_port()}/d"
        told = [ris.table(), ris.table(name="away", port=free_port()), ris.table(name="tls", port=broken, tls=True)]
        check.call(
            node={"mode": "full"},
            destination=[{"name": name, "dicomweb": url} for name, url in at.items()],
            worklist__hl7=told,
            audit={"syslog": f"tcp://127.0.0.1:{receiver.port}"},
        )
        check(f'[audit]\nsyslog = "tcp://127.0.0.1:{receiver.port}"')
        audit = {"syslog": f"tls://localhost:{strange.port}", "ca": hospital.pem}
        check.call(audit=audit)
        check.call(audit={"syslog": f"tcp://127.0.0.1:{free_port()}"})
    web.shutdown()
    web.server_close()


def a_hub_and_its_sites(check: Doctor) -> None:
    web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    for name in ("well", "late"):
        at = {"url": f"http://127.0.0.1:{web.server_address[1]}/200"}
        if name == "late":
            store = Bench(check.folder / name).store
            with store.transaction() as tx:
                events.append(tx, NOON, "instance.stored", "1.2.3")
                worklist.arrive(tx, header(1), NOON)
            store.close()
        check.call(node={"mode": "full", "data_dir": name}, hub=at)
    web.shutdown()
    web.server_close()
    check('[hub]\nurl = "https://h/dicom-web"')
    store = Bench(check.folder / "hub").store
    with store.transaction() as tx:
        sites.heard(tx, "north", time.time())
        sites.heard(tx, "south", NOON)
    store.close()
    check('[node]\nrole = "hub"\ndata_dir = "hub"\n[hub]\nsites = ["north", "south", "east"]\n[web]\ntokens = "tokens"')


def a_server_that_does_not_answer(check: Doctor) -> None:
    """It has half a minute, while the others are looked at."""
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/d"
    check.begin(f'[[destination]]\nname = "silent"\ndicomweb = "{url}"', offline=False)
    check.done.callback(silent.close)


SITUATIONS = (
    a_server_that_does_not_answer, mistakes, folders, databases, two_nodes, a_damaged_database, models,
    models_that_misstate_themselves, a_model_that_was_activated, calibrations, devices, another_backend, pools,
    certificates, pages_and_ports, peers_that_speak_dicom, peers_that_do_not, a_hub_and_its_sites,
)  # fmt: skip
