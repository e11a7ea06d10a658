"""What the GPUs of this machine are doing, from the driver (NVML); nothing where there is no NVIDIA GPU."""

from dataclasses import dataclass

import pynvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: memory in bytes, and the share of the past second (0..1) in which it computed; None where the driver
    does not say, as for a part of a GPU (MIG)."""

    number: int
    name: str
    memory_used: int
    memory_total: int
    use: float | None


def gpus() -> list[Gpu]:
    """Those that the driver knows; a driver that fails is none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(number: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(number)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(number, str(pynvml.nvmlDeviceGetName(handle)), int(memory.used), int(memory.total), _use(handle))


def _use(handle: object) -> float | None:
    try:
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except pynvml.NVMLError:
        return None
