"""In which numbers a network learns goes by what the device multiplies in."""

import pytest
import torch
from torch import nn

from training.precision import half, learning

pytestmark = pytest.mark.training

PROCESSOR = torch.device("cpu")


def _of(monkeypatch: pytest.MonkeyPatch, *instructions: str) -> None:
    """The processor has these instructions, and knows of others."""
    found = {"avx2": True, "avx512_bf16": False} | dict.fromkeys(instructions, True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)


def _computed() -> torch.dtype:
    with learning(PROCESSOR):
        return nn.Conv2d(1, 2, 3)(torch.zeros(1, 1, 8, 8)).dtype


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16"])
def test_processors_that_multiply_in_bfloat16_do(monkeypatch: pytest.MonkeyPatch, instruction: str) -> None:
    _of(monkeypatch, instruction)
    assert _computed() is torch.bfloat16


def test_others_imitate_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _of(monkeypatch)
    assert _computed() is torch.float32


@pytest.mark.parametrize("own", [True, False])
def test_a_graphics_card_is_asked_for_its_own(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.append(how) or own)
    assert half(torch.device("cuda")) is own
    assert asked == [{"including_emulation": False}]
