"""The table [inference]: what computes the network, and where."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from cxr_node.config.basis import Section


def _pool(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise ValueError("write it as http://HOST:PORT or https://HOST, what stands before /NAME/VERSION of a model")
    return url


class Inference(Section):
    """The process that runs the network, or asks a pool to."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    backend: Literal["torch", "openvino", "ray"] = "torch"
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    decoders: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    address: Annotated[str, AfterValidator(_pool)] | None = None
    answer_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    fallback: bool = True

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.backend == "openvino" and self.device == "cuda":
            raise ValueError("OpenVINO computes on the processor: set device to auto or cpu, or backend to torch")
        if self.backend == "ray" and self.address is None:
            raise ValueError("address is missing: the backend ray asks a pool, and that says where it is")
        return self
