"""A modality that does not give up: it sends a film until it is acknowledged, and starts the node if that is down."""

from pydicom.dataset import FileDataset

from tests.node import Node


def acknowledged(node: Node, film: FileDataset) -> bool:
    """One try; no association, a broken one and a refusal all mean: later again."""
    try:
        (answer,) = node.store(film)
    except (AssertionError, RuntimeError, OSError):
        return False
    return bool(answer.get("Status") == 0x0000)


def resend(node: Node, film: FileDataset) -> None:
    while not acknowledged(node, film):
        if not node.running:
            node.start()
