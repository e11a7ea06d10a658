"""What a configuration means for people: which destination gets what, and which threshold is of nothing."""

import pytest

from cxr_node.config import Config
from cxr_node.errors import ConfigError
from cxr_node.plan import Plan, announcement


def config(mode: str, **destinations: str | None) -> Config:
    peers = [
        {"name": name, "ae_title": "A", "host": "h", "mode": of_its_own} for name, of_its_own in destinations.items()
    ]
    return Config.model_validate({"node": {"mode": mode}, "destination": peers})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (config("shadow"), "shadow: films are analysed and recorded, no study is moved, and nothing is sent"),
        (config("shadow", pacs=None), "no study is moved, and nothing is sent"),
        (config("shadow", pacs=None, lab="full"), "no study is moved, and documents are sent to lab (full)"),
        (config("full", pacs=None, lab="shadow"), "by what the model finds, and documents are sent to pacs (full)"),
        (config("triage", pacs=None, lab="full"), "documents are sent to pacs (triage), lab (full)"),
    ],
)
def test_the_announcement_says_what_each_destination_gets(found: Config, said: str) -> None:
    assert announcement(found).endswith(said)


def test_a_threshold_is_of_what_the_model_finds() -> None:
    model = {"thresholds": {"pneumonia": 0.4}}
    assert Plan.of(Config.model_validate({"model": model})).judging().cutoffs.threshold == 0.4
    wrong = Plan.of(Config.model_validate({"model": {"thresholds": {"pneumonai": 0.4}}}))
    with pytest.raises(ConfigError, match=r"model\.thresholds: .* finds 'pneumonia', not 'pneumonai'"):
        wrong.judging()
