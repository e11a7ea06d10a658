"""The configuration: what it defaults to, what it takes from where, and how it reports mistakes."""

import os
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from cxr_node import config
from cxr_node.config import Config
from cxr_node.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the configuration file of the source tree."""
    monkeypatch.chdir(tmp_path)


def load(text: str, **environment: str) -> Config:
    path = Path("node.toml")
    path.write_text(text, "utf-8")
    return config.load(path, environment)


def mistakes(text: str, **environment: str) -> list[str]:
    """The lines of the complaint about a configuration."""
    with pytest.raises(ConfigError) as refused:
        load(text, **environment)
    return [line.strip() for line in refused.value.message.splitlines()]


def test_without_a_file_the_defaults_work_on_one_machine() -> None:
    found = config.load(None, {})
    assert found == Config()
    assert (found.node.mode, found.receive.host, found.receive.port) == ("shadow", "127.0.0.1", 11112)
    assert found.destination == ()


def test_every_section_is_frozen() -> None:
    with pytest.raises(ValidationError):
        config.load(None, {}).node.mode = "full"  # type: ignore[misc]


def test_the_file_in_the_working_folder_is_found() -> None:
    config.DEFAULT_FILE.parent.mkdir()
    config.DEFAULT_FILE.write_text('[node]\nae_title = "HERE"')
    assert config.load(None, {}).node.ae_title == "HERE"


def test_the_file_that_the_environment_names_goes_before_it() -> None:
    config.DEFAULT_FILE.parent.mkdir()
    config.DEFAULT_FILE.write_text('[node]\nae_title = "HERE"')
    Path("named.toml").write_text('[node]\nae_title = "NAMED"')
    Path("given.toml").write_text('[node]\nae_title = "GIVEN"')
    environment = {config.FILE_VARIABLE: "named.toml"}
    assert config.load(None, environment).node.ae_title == "NAMED"
    assert config.load(Path("given.toml"), environment).node.ae_title == "GIVEN"


def test_three_mistakes_are_three_lines_with_key_and_value() -> None:
    found = mistakes('[node]\nmode = "fast"\n[receive]\nport = 70000\n[model]\nprevalence = "high"\n')
    assert found[0] == "node.toml: 3 mistakes"
    assert found[1].startswith("node.mode: Input should be 'shadow', 'triage' or 'full'")
    assert found[1].endswith("(found 'fast')")
    assert found[2].startswith("receive.port: Input should be less than or equal to 65535")
    assert found[3].startswith("model.prevalence: ")
    assert len(found) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[node]\nae_titel = "X"', "node.ae_titel: unknown key; did you mean 'ae_title'?"),
        ("[recieve]\nport = 1", "recieve: unknown key; did you mean 'receive'?"),
        (
            '[[destination]]\nname = "a"\nae_title = "A"\nhost = "h"\nportt = 1',
            "destination.0.portt: unknown key; did you mean 'port'?",
        ),
        ("[log]\nxyzzy = 1", "log.xyzzy: unknown key; known: file, format, level"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(text: str, said: str) -> None:
    assert mistakes(text) == ["node.toml: 1 mistake", said]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[node]\nae_title = ""', "node.ae_title"),
        ('[node]\nae_title = "SEVENTEEN_LETTERS"', "node.ae_title"),
        ('[node]\nae_title = "BACK\\\\SLASH"', "node.ae_title"),
        ('[node]\ntimezone = "Mars/Olympus"', "node.timezone"),
        ('[node]\ntimezone = "../etc/passwd"', "node.timezone"),
        ('[node]\nuid_root = "1.02"', "node.uid_root"),
        (f'[node]\nuid_root = "1.2.{"3" * 40}"', "node.uid_root"),
        ('[receive]\nallowed_networks = ["10.0.0.1/8"]', "receive.allowed_networks.0"),
        ("[receive]\nmax_associations = 0", "receive.max_associations"),
        ('[tls]\ncertificate = "a.pem"', "tls"),
        ('[hub]\nurl = "hub.example.org"', "hub.url"),
        ('[hub]\nurl = "http://hub.example.org/dicom-web"', "hub.url"),
        ('[hub]\nurl = "https://me:secret@hub.example.org/dicom-web"', "hub.url"),
        ('[node]\nrole = "hub"\n[hub]\nsites = ["no rth"]', "hub.sites.0"),
        ('[tls]\nkey = "a.key"', "tls"),
        ('[tls]\ncertificate = "a.pem"\nkey = "a.key"', "tls"),
        ("[study]\nsettle_seconds = -1", "study.settle_seconds"),
        ("[eligibility]\nage = [90, 18]", "eligibility.age"),
        ("[eligibility]\nmaximum_pixels = 100000001", "eligibility.maximum_pixels"),
        ("[model]\nthresholds = { pneumonia = 1.0 }", "model.thresholds.pneumonia"),
        ('[model]\nversion = "new"', "model.version"),
        ('[inference]\ndevice = "gpu"', "inference.device"),
        ('[inference]\ndevice = "cuda"\nbackend = "openvino"', "inference"),
        ('[inference]\nbackend = "ray"', "inference"),
        ('[inference]\naddress = "gpu:8000"', "inference.address"),
        ('[inference]\naddress = "http://me:secret@gpu:8000"', "inference.address"),
        ("[inference]\nanswer_seconds = 61", "inference.answer_seconds"),
        ("[report]\ntriage_category = { high = 1 }", "report.triage_category.high"),
        ('[[destination]]\nname = "a/b"\nae_title = "A"\nhost = "h"', "destination.0.name"),
        ("[worklist]\nmax_wait_minutes = 0", "worklist.max_wait_minutes"),
        ("[worklist]\ntiers = { high = 0.4, medium = 0.5 }", "worklist.tiers"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_its_key(text: str, key: str) -> None:
    found = mistakes(text)
    assert found[0] == "node.toml: 1 mistake"
    assert found[1].startswith(key + ": ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[hub]\nsites = ["north"]', 'hub.sites: only a hub has sites; set node.role = "hub"'),
        ('[node]\nrole = "hub"\n[hub]\nurl = "https://h/dicom-web"', "hub.url: a hub tells no other hub"),
        ('[node]\nrole = "hub"\n[hub]\nsites = ["north"]', "hub.sites: a site shows by a token"),
    ],
)
def test_a_hub_has_sites_with_tokens_and_no_hub(text: str, said: str) -> None:
    assert any(said in line for line in mistakes(text))


def test_two_destinations_of_one_name_are_refused_beside_other_mistakes() -> None:
    peer = '[[destination]]\nname = "pacs"\nae_title = "PACS"\nhost = "h"\n'
    found = mistakes(peer + peer + "[receive]\nport = 0")
    assert found[0] == "node.toml: 2 mistakes"
    assert [line for line in found if line.startswith("destination: names must differ; repeated: pacs")]
    assert [line for line in found if line.startswith("receive.port: ")]


def test_what_is_not_toml_is_said_with_its_line() -> None:
    assert "node.toml is not valid TOML" in mistakes("[node\nmode = 1")[0]
    assert "line 1" in mistakes("[node\nmode = 1")[0]


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot read missing\.toml: No such file"):
        config.load(Path("missing.toml"), {})


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("CXR_NODE__RECEIVE__PORT", "104", {"receive": {"port": 104}}),
        ("CXR_NODE__NODE__MODE", "full", {"node": {"mode": "full"}}),
        ("CXR_NODE__NODE__MODE", '"full"', {"node": {"mode": "full"}}),
        ("CXR_NODE__RECEIVE__ALLOWED_AE_TITLES", '["CT1", "CT2"]', {"receive": {"allowed_ae_titles": ["CT1", "CT2"]}}),
        ("CXR_NODE__WORKLIST__TIERS", "{ high = 0.9 }", {"worklist": {"tiers": {"high": 0.9}}}),
        ("CXR_NODE__REPORT__HEATMAP", "false", {"report": {"heatmap": False}}),
    ],
)
def test_the_environment_overrides_a_key(variable: str, text: str, value: dict[str, object]) -> None:
    assert load("", **{variable: text}) == Config.model_validate(value)


def test_the_environment_goes_before_the_file() -> None:
    found = load("[receive]\nport = 104\nmax_associations = 2", CXR_NODE__RECEIVE__PORT="105").receive
    assert (found.port, found.max_associations) == (105, 2)


def test_a_mistake_in_the_environment_is_reported_by_its_key() -> None:
    assert mistakes("", CXR_NODE__RECEIVE__PORT="none")[1].startswith("receive.port: ")


def test_a_list_of_tables_cannot_be_overridden_key_by_key() -> None:
    text = '[[destination]]\nname = "a"\nae_title = "A"\nhost = "h"'
    assert "[destination] is not a table" in mistakes(text, CXR_NODE__DESTINATION__PORT="1")[0]


def test_names_in_rules_are_compared_in_capitals() -> None:
    assert load('[eligibility]\nmodalities = ["cr "]').eligibility.modalities == frozenset({"CR"})


def test_a_configuration_survives_its_way_to_a_child() -> None:
    text = '[eligibility]\nage = [18, 120]\n[[destination]]\nname = "a"\nae_title = "A"\nhost = "h"\nmode = "full"'
    found = load(text)
    assert Config.model_validate_json(found.model_dump_json()) == found


def test_unrelated_variables_are_left_alone() -> None:
    assert config.load(None, {"CXR_NODE__": "x", "CXR_NODE_CONFIG": "", "PATH": os.defpath}) == Config()


def test_values_of_toml_arrive_as_they_are() -> None:
    text = "[study]\nsettle_seconds = 20\nrelease_settle_seconds = 5.5\n"
    assert load(text).study.model_dump() == tomllib.loads(text)["study"] | {"max_wait_seconds": 600.0}


@pytest.mark.parametrize("more", ['ca = "ca.pem"', "require_client_certificate = false", "listener = false"])
def test_a_certificate_is_asked_of_callers_unless_the_site_says_otherwise(more: str) -> None:
    identity = '[tls]\ncertificate = "a.pem"\nkey = "credential:a.key"\n'
    assert mistakes(identity)[1].startswith("tls: ca is missing: it says whose client certificates are trusted")
    assert load(identity + more).tls.listens is (more != "listener = false")
    assert not Config().tls.listens


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "a"\nae_title = "A"', "ae_title and host are missing (or dicomweb,"),
        ('name = "a"\ndicomweb = "pacs.example.org"', "destination.0.dicomweb: write it as https://HOST/PATH"),
        ('name = "a"\ndicomweb = "https://u:p@pacs/dw"', "a login is dicomweb_authorization"),
        ('name = "a"\ndicomweb = "https://pacs/dw"\nstorage_commitment = "on"', "DICOMweb has none"),
    ],
)
def test_a_destination_is_reached_one_way_or_the_other(text: str, said: str) -> None:
    assert said in mistakes(f"[[destination]]\n{text}")[1]


def test_a_dicomweb_destination_needs_no_ae_title() -> None:
    (found,) = load('[[destination]]\nname = "a"\ndicomweb = "https://pacs.example.org/dicom-web"').destination
    assert (found.ae_title, found.host) == (None, None)
