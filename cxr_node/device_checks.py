"""What `check` says of what films are judged on. torch is asked by a process of its own, as the daemon's child does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec

from cxr_node.config import Config
from cxr_node.errors import Transient
from cxr_node.inference import agreement
from cxr_node.inference.manifest import Manifest
from cxr_node.plan import Plan
from cxr_node.predicting import pool_of
from cxr_node.upkeep_checks import Look

_ASK_TORCH = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"


def look(config: Config, *, offline: bool) -> Iterator[Look]:
    """`offline`: a pool is not called. Raises ConfigError where the backend is not one for the model in service."""
    if config.inference.backend == "ray":
        plan = Plan.in_service(config)
        yield from (_pool(config, model, offline=offline) for model in (plan.manifest, *plan.further, *plan.shadows))
    if config.inference.backend == "openvino":
        yield _openvino(config)
    elif config.inference.backend == "torch" or config.inference.fallback:
        yield _torch(config.inference.device)


def _pool(config: Config, model: Manifest, *, offline: bool) -> Look:
    """Whether the pool has this build of a model."""
    subject, address = f"pool {model.called}", config.inference.address
    if offline:
        return "note", subject, f"{address}, not called (--offline)"
    try:
        with closing(pool_of(config)) as pool:
            found = pool.look(model)
    except Transient as error:
        why = error.message
    else:
        if found.digest == model.digest:
            return "ok", subject, f"{address} has it, digest {found.digest[:12]}, on {found.device}"
        why = f"{address} has another build of it: digest {found.digest[:12]}, here {model.digest[:12]}"
    if config.inference.fallback:
        return "warning", subject, f"{why}; films are judged on this machine meanwhile"
    return "failed", subject, f"{why}; films wait"


def _torch(wanted: str) -> Look:
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
