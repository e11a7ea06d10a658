"""The web side on the bench: a node's database and spool, its pages in this process, and a browser that clicks nothing.

web = Web(tmp_path)                       # open, as without users on the loopback interface
web.client().get("/api/worklist").json()
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cxr_node import views
from cxr_node.config import Config
from cxr_node.domain.job import JobState
from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.domain.study import Judging
from cxr_node.imaging.picture import encode_picture
from cxr_node.store import jobs, worklist
from cxr_node.web import accounts
from cxr_node.web.access import Door, Network
from cxr_node.web.accounts import Accounts, Role
from cxr_node.web.app import build
from cxr_node.web.attempts import Attempts
from cxr_node.web.sessions import Sessions
from cxr_node.web.site import Facts, Site
from tests import films
from tests.bench import JUDGING, Bench, add_result, desk

PASSWORD = "correct horse battery"
PSEUDONYMS = Pseudonyms(b"k" * 32)
FORM = re.compile(r'name="form_token" value="([0-9a-f]{64})"')
HASH = accounts.hashed(PASSWORD)  # once: it is slow, and is to be


@dataclass
class Web:
    """The pages of a node in `root`. `users`: names and roles, all with PASSWORD; `tokens` likewise, by their token.

    `workitems`: whether UPS-RS is on; `installed`: how the site reads models, by name and version;
    `stow`: whether films may come by STOW-RS.
    """

    root: Path
    users: dict[str, Role] = field(default_factory=dict)
    tokens: dict[str, Role] = field(default_factory=dict)
    proxies: Sequence[Network] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    workitems: bool = True
    installed: dict[str, Judging] = field(default_factory=dict)
    stow: bool = False

    def __post_init__(self) -> None:
        self.bench = Bench(self.root)
        self.bench.clock.now = time.time()
        self.config = Config.model_validate({"node": {"data_dir": self.root, "mode": "full"}, "receive": {"port": 1}})
        self.ready = {"ready": True, "listening": True, "analysing": True}
        self.users_file, self.tokens_file = self.root / "users", self.root / "tokens"
        self.write_users()
        accounts.save(
            self.tokens_file,
            [accounts.Account(f"program{n}", role, accounts._token_hash(t)) for n, (t, role) in
             enumerate(self.tokens.items())],
        )  # fmt: skip
        self.desk = desk(self.bench, by_web=True)
        self.app: Starlette = build(self.site(), self.door())

    def write_users(self, **changed: str) -> None:
        """The file of users anew; `changed` secrets by name."""
        known = [accounts.Account(name, role, changed.get(name, HASH)) for name, role in self.users.items()]
        accounts.save(self.users_file, known)

    def site(self) -> Site:
        bench, config = self.bench, self.config
        known: dict[str, Any] = {
            "version": "1.2.3", "mode": "full", "language": "en", "timezone": "UTC", "model": "cxr-test 1.0.0",
            "max_wait_minutes": 120.0, "localises": True, "calibrated": False,
            "viewer_url": "https://pacs.example.org/?study={study_uid}",
        }  # fmt: skip
        return Site(
            facts=Facts(**known | self.facts),
            store=bench.store,
            spool=bench.spool,
            judging=JUDGING,
            reads=lambda name, version: self.installed.get(f"{name} {version}"),
            places=lambda closed, only: views.places(config, bench.store, bench.clock(), closed=closed, only=only),
            study=lambda uid: views.study(bench.store, uid),
            status=lambda: views.status(config, bench.store, bench.clock(), call=False),
            ready=lambda: self.ready,
            pseudonym=PSEUDONYMS.study,
            clock=bench.clock,
            desk=self.desk if self.workitems else None,
            intake=bench.intake if self.stow else None,
        )

    def door(self) -> Door:
        return Door(
            sessions=Sessions(b"s" * 32, self.bench.clock, 3600, set()),
            attempts=Attempts(self.bench.clock, 5, 300),
            users=Accounts(self.users_file) if self.users else None,
            tokens=Accounts(self.tokens_file) if self.tokens else None,
            proxies=self.proxies,
            hosts=frozenset({"localhost", "127.0.0.1"}),
        )

    def client(self, base: str = "http://localhost", address: str = "127.0.0.1", **headers: str) -> TestClient:
        """A browser that follows no redirect by itself and keeps its cookies."""
        return TestClient(self.app, base, follow_redirects=False, client=(address, 50000), headers=headers)

    def signed_in(self, name: str, password: str = PASSWORD, **options: str) -> TestClient:
        client = self.client(**options)
        answer = post(client, "/sign-in", page="/sign-in", name=name, password=password)
        assert answer.status_code == 303, answer.text
        return client

    def film(self, probability: float | None = None, **attributes: Any) -> str:
        """A study of one film, judged or not, a second after the one before; its UID."""
        self.bench.clock.turn(1)
        film = films.chest(**attributes)
        self.bench.send(film)
        uid = str(film.StudyInstanceUID)
        if probability is not None:
            with self.bench.store.transaction() as tx:
                (job,) = jobs.claim(tx, "analyse", "one", self.bench.clock(), 300)
                add_result(tx, job.subject, probability)
                jobs.finish(tx, job, JobState.DONE, self.bench.clock())
                worklist.refresh(tx, uid, JUDGING, self.bench.clock())
            self.bench.spool.write(self.bench.spool.picture(job.subject), encode_picture(np.zeros((64, 48), np.uint8)))
        return uid

    def events(self, prefix: str = "") -> list[str]:
        return [name for name in self.bench.events() if name.startswith(prefix)]


def form_token(client: TestClient, page: str = "/") -> str:
    """The token in the forms of a page."""
    found = FORM.search(client.get(page).text)
    assert found, f"{page} has no form"
    return found[1]


def post(client: TestClient, path: str, page: str = "/", **fields: str) -> Any:
    """Fill in a form of a page."""
    return client.post(path, data={"form_token": form_token(client, page), **fields})
