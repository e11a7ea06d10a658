"""What `check` says of what films are judged on. torch is asked by a process of its own, as the daemon's child does."""

import subprocess
import sys
from importlib.util import find_spec

from cxr_node.config import Config
from cxr_node.inference import agreement
from cxr_node.plan import Plan
from cxr_node.upkeep_checks import Look

_ASK_TORCH = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"


def look(config: Config) -> Look:
    """Raises ConfigError where the backend is not one for the model in service."""
    wanted = config.inference.device
    if config.inference.backend == "openvino":
        return _openvino(config)
    if wanted == "cpu":
        return "ok", "device", "cpu, as configured"
    asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, check=False)
    gpu = asked.stdout.strip()
    if asked.returncode != 0:
        return "failed", "device", "torch cannot be asked: it does not load here"
    if not gpu and wanted == "cuda":
        return "failed", "device", "inference.device is cuda, and torch finds no GPU; set it to auto or cpu"
    return "ok", "device", gpu or "cpu; torch finds no GPU"


def _openvino(config: Config) -> Look:
    if find_spec("openvino") is None:
        return "failed", "device", "inference.backend is openvino, which is not installed: install cxr-node[openvino]"
    found = agreement.require(Plan.in_service(config).manifest, config.inference.backend)
    return "ok", "device", f"cpu, by OpenVINO; logits agree with torch's to {found.logits:.1e}"
