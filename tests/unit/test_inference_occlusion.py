"""Occlusion maps: they show, in the right place, what the output of a network rests on."""

import pytest
import torch
from torch import Tensor

from cxr_node.inference.explain import explain
from cxr_node.inference.network import FilmNetwork
from cxr_node.inference.occlusion import CELLS, STRIDE, WINDOW, _places, occlusion

SIZE = 224


class Corner(FilmNetwork):
    """A network whose first output is the mean of one part of the film, its second that with the sign turned."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.rows, self.columns, self.films = rows, columns, 0

    def forward(self, films: Tensor) -> Tensor:
        self.films += len(films)
        mean = films[:, 0, self.rows, self.columns].mean(dim=(1, 2))
        return torch.stack([mean, -mean], dim=1)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (100, 60), (SIZE - 16, SIZE - 16), (0, SIZE - 16)], ids=str)
def test_the_map_is_strong_where_the_output_rests_and_nowhere_else(row: int, column: int) -> None:
    film = torch.zeros(1, 1, SIZE, SIZE)
    film[..., row : row + 16, column : column + 16] = 1
    network = Corner(slice(row, row + 16), slice(column, column + 16))
    logits, maps = occlusion(network, film)
    assert logits.tolist() == [[1, -1]]
    assert maps.shape == (1, 2, CELLS, CELLS)
    strong = (maps[0, 0] > 0.5 * maps[0, 0].max()).nonzero().float().mean(dim=0)
    middle = torch.tensor([row + 8, column + 8]) * CELLS / SIZE - 0.5
    assert (strong - middle).abs().max() < 0.75
    assert maps[0, 0].flatten().topk(100).values[-1] < 0.01
    assert torch.allclose(maps[0, 1], -maps[0, 0])


def test_every_part_of_the_film_is_covered_in_484_passes() -> None:
    network = Corner(slice(0, 9), slice(0, 9))
    occlusion(network, torch.rand(1, 1, SIZE, SIZE))
    assert network.films == 485
    covered = torch.zeros(SIZE, SIZE)
    for rows, columns in _places(SIZE):
        assert (rows.stop - rows.start, columns.stop - columns.start) == (WINDOW, WINDOW)
        covered[rows, columns] = 1
    assert covered.all()
    assert _places(SIZE)[1][1].start == STRIDE


def test_a_film_does_not_depend_on_the_others_in_its_batch() -> None:
    films = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    network = Corner(slice(0, 50), slice(0, 50))
    together = occlusion(network, films)[1]
    assert torch.allclose(together[1], occlusion(network, films[1:])[1][0], atol=1e-6)


@pytest.mark.parametrize("size", [96, 260])
def test_the_window_goes_with_the_size_of_the_network(size: int) -> None:
    rows, _ = _places(size)[0]
    assert rows.stop == round(WINDOW * size / SIZE)
    assert _places(size)[-1][0].stop == size


def test_it_is_made_only_where_it_is_wanted() -> None:
    network = Corner(slice(0, 9), slice(0, 9))
    _, maps, made = explain(network, torch.rand(1, 1, SIZE, SIZE), "occlusion")
    assert (made, maps.shape[-1]) == ("occlusion", CELLS)
