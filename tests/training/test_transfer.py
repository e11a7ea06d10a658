"""What carries over between sources, on films in which one cue does and another turns round."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data import Film
from training.transfer import FEWEST, carried_over, shade, texture, tone


def film_of(folder: Path, source: str, number: int, *, sharp_when_ill: bool) -> Film:
    """A bright spot where the film is ill; noise that goes with illness in one source and with health in the other."""
    ill = bool(number % 2)
    random = np.random.default_rng(number + 1000 * (source == "b"))
    film = np.tile(np.linspace(60, 160, 64), (64, 1)) + random.normal(0, 2, (64, 64))
    if ill:
        film[40:56, 8:24] += 50
    if ill == sharp_when_ill:
        film += random.normal(0, 12, (64, 64))
    path = folder / f"{source}{number}.png"
    cv2.imwrite(str(path), np.clip(film, 0, 255).astype(np.uint8))
    return Film(path, source, f"{source}{number}", "viral_pneumonia" if ill else "normal", "PA", "train")


def figures(said: str) -> dict[str, list[list[float]]]:
    """By look, the table of areas."""
    found: dict[str, list[list[float]]] = {}
    for line in said.splitlines()[2:]:
        name, *cells = line.split()
        if cells == ["a", "b"]:
            look = found.setdefault(name, [])
        else:
            look.append([float(cell) for cell in cells])
    return found


def test_what_means_the_same_everywhere_carries_over_and_what_turns_round_is_seen_to(tmp_path: Path) -> None:
    films = [
        film_of(tmp_path, source, number, sharp_when_ill=source == "a")
        for source in "ab"
        for number in range(2 * FEWEST)
    ]
    found = figures(carried_over(films))
    assert list(found) == ["tone", "shade", "texture"]
    assert np.min(found["shade"]) > 0.9, "the shade of the spot carries over"
    (own_a, there), (back, own_b) = found["texture"]
    assert min(own_a, own_b) > 0.9, "texture gives each source away"
    assert max(there, back) < 0.3, "and errs in the other"


def test_test_films_and_small_sources_are_left_out(tmp_path: Path) -> None:
    films = [film_of(tmp_path, "a", number, sharp_when_ill=True) for number in range(2 * FEWEST - 2)]
    assert carried_over(films) == "What carries over: fewer than two sources have 30 normal and 30 pneumonia films."


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_shade_and_texture_do_not_see_exposure(gamma: float) -> None:
    film = np.random.default_rng(1).permutation(np.linspace(0, 1, 64 * 64)).reshape(64, 64).astype(np.float32)
    film = np.float32(0.3) + np.rint(film * 40) / np.float32(60)  # few levels and none dark, so that none merge
    other = film**gamma
    assert np.abs(tone(film) - tone(other)).max() > 0.05
    for look in (shade, texture):
        np.testing.assert_allclose(look(film), look(other), atol=0.02)
