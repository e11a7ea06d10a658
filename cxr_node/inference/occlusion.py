"""What is lost when a part of the film is covered: occlusion maps (Zeiler and Fergus, ECCV 2014, arXiv 1311.2901).

It asks nothing of the network but its output, so that it holds for any head; it costs 484 passes a film.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cxr_node.inference.network import FilmNetwork

WINDOW = 15
"""Pixels of the film as the network sees it, at its size of 224; scaled to other sizes."""
STRIDE = 10
CELLS = 28
"""Rows and columns of a map."""
_SIZE = 224
_AT_ONCE = 16  # on a processor, too: the memory of the widest layers is kept there (`memory.keep_freed_memory`)

Place = tuple[slice, slice]


def occlusion(network: FilmNetwork, films: Tensor) -> tuple[Tensor, Tensor]:
    """(logits (n, outputs), maps (n, outputs, 28, 28)) of films (n, 1, size, size).

    A square window takes on the mean of the film, in turn everywhere; a value of a map is by how much the logit falls,
    on average over the windows that cover this part of the film. It keeps its sign: below zero, what is there speaks
    against the output.
    """
    places = _places(films.shape[-1])
    with torch.inference_mode():
        logits: Tensor = network(films)
        falls = [_falls(network, film, places, logit) for film, logit in zip(films, logits, strict=True)]
        return logits, torch.stack([_spread(fall, places, films.shape[-1]) for fall in falls])


def _places(size: int) -> list[Place]:
    """Where the window goes, row by row; the last ones end at the edge of the film."""
    window, stride = max(1, round(WINDOW * size / _SIZE)), max(1, round(STRIDE * size / _SIZE))
    starts = [*range(0, size - window, stride), size - window]
    sides = [slice(start, start + window) for start in starts]
    return [(rows, columns) for rows in sides for columns in sides]


def _falls(network: FilmNetwork, film: Tensor, places: Sequence[Place], logit: Tensor) -> Tensor:
    """By how much each logit (outputs,) falls at each place: (places, outputs). `film` is (1, size, size)."""
    grey, found = film.mean(), []
    for begin in range(0, len(places), _AT_ONCE):
        some = places[begin : begin + _AT_ONCE]
        covered = film.repeat(len(some), 1, 1, 1).contiguous(memory_format=torch.channels_last)
        for one, (rows, columns) in zip(covered, some, strict=True):
            one[:, rows, columns] = grey
        found.append(logit - network(covered))
    return torch.cat(found)


def _spread(falls: Tensor, places: Sequence[Place], size: int) -> Tensor:
    """The falls (places, outputs) laid over the film, each part the mean of the windows over it: (outputs, 28, 28)."""
    total, count = falls.new_zeros(falls.shape[1], size, size), falls.new_zeros(size, size)
    for fall, (rows, columns) in zip(falls, places, strict=True):
        total[:, rows, columns] += fall[:, None, None]
        count[rows, columns] += 1
    return functional.adaptive_avg_pool2d(total / count, CELLS)
