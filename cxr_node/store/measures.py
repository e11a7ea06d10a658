"""What the pixels of films are like, as the network saw them: to see whether a machine has changed how it draws."""

from cxr_node.store.db import Tx


def save(tx: Tx, digest: str, mean: float, deviation: float) -> None:
    """Mean and standard deviation of a film's grey values, 0 black to 1 white."""
    tx.execute("INSERT OR REPLACE INTO film_measure VALUES (?, ?, ?)", (digest, mean, deviation))
