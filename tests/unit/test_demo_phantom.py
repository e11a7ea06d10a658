"""The phantom: its shadows have the right lengths, and its films behave as chest films do."""

import numpy as np
import pytest

from cxr_node.demo.phantom import BITS, Opacity, project
from cxr_node.demo.shadows import Plane, blur

RIGHT_LUNG = (slice(120, 150), slice(55, 75))  # rows, columns of a film of 256 x 224
HEART = (slice(150, 165), slice(120, 130))
BESIDE_THE_NECK = (slice(18, 26), slice(25, 55))


def film(*opacities: Opacity, seed: int = 1) -> np.ndarray:
    return project(opacities, rows=256, columns=224, seed=seed)


def test_an_ellipsoid_throws_its_depth_and_its_volume() -> None:
    plane = Plane(400, 400, 20.0)
    path = plane.ellipsoid((1.0, 10.0), (3.0, 4.0, 2.0), tilt=30)
    assert path.max() == pytest.approx(4.0, rel=1e-3)
    assert path.sum() * plane.pitch**2 == pytest.approx(4 / 3 * np.pi * 3 * 4 * 2, rel=1e-3)


def test_a_rod_throws_its_volume_and_is_densest_on_its_axis() -> None:
    plane = Plane(400, 400, 20.0)
    path = plane.rods([np.array([(-5.0, 10.0, 0.0), (5.0, 10.0, 0.0)])], 0.7)
    assert path.max() == pytest.approx(3 / 4 * np.pi * 0.7, rel=0.02)
    assert path.sum() * plane.pitch**2 == pytest.approx(np.pi * 0.7**2 * 10, rel=1e-2)


def test_a_rod_that_turns_into_the_beam_grows_denser() -> None:
    plane = Plane(400, 400, 20.0)
    flat = plane.rods([np.array([(-2.0, 10.0, 0.0), (2.0, 10.0, 0.0)])], 0.5)
    steep = plane.rods([np.array([(-2.0, 10.0, -4.0), (2.0, 10.0, 4.0)])], 0.5)
    assert steep[200, 200] / flat[200, 200] == pytest.approx(np.sqrt(5), rel=0.02)


def test_what_lies_beside_the_film_throws_no_shadow() -> None:
    plane = Plane(64, 64, 10.0)
    assert not plane.rods([np.array([(50.0, 50.0, 0.0), (60.0, 50.0, 0.0)])], 0.5).any()
    assert not plane.stack([(20, -1, 1, 5), (30, -1, 1, 5)]).any()


def test_a_stack_joins_its_slices() -> None:
    plane = Plane(200, 200, 20.0)
    path = plane.stack([(5, -2, 2, 4), (10, -4, 4, 8), (15, -4, 4, 8)])
    assert not path[:50].any()
    assert not path[150:].any()
    assert path[50:150].max() == pytest.approx(8.0, rel=0.05)
    width = np.count_nonzero(path, axis=1) * plane.pitch
    assert width[52] < width[75] < width[98]


@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_blurring_keeps_the_mean(sigma: float) -> None:
    values = np.random.default_rng(0).random((128, 96), dtype=np.float32)
    smooth = blur(values, sigma)
    assert smooth.shape == values.shape
    assert smooth.mean() == pytest.approx(values.mean(), rel=0.02)


def test_a_film_has_its_size_type_and_range() -> None:
    pixels = film()
    assert pixels.shape == (256, 224)
    assert pixels.dtype == np.uint16
    assert 0 <= pixels.min() < 200
    assert 3800 < pixels.max() < 2**BITS


def test_air_is_black_lung_is_dark_and_the_heart_is_bright() -> None:
    pixels = film()
    assert pixels[BESIDE_THE_NECK].mean() < 300 < pixels[RIGHT_LUNG].mean() < 2000 < pixels[HEART].mean()


def test_the_same_arguments_give_the_same_film_and_another_seed_another() -> None:
    assert np.array_equal(film(seed=3), film(seed=3))
    assert not np.array_equal(film(seed=3), film(seed=4))


def test_a_growing_opacity_brightens_the_lung_more_and_more_and_nothing_else() -> None:
    clear = film()
    means, spreads = [clear[RIGHT_LUNG].mean()], []
    for radius in (1.5, 3.0, 4.5):
        pixels = film(Opacity(0.29, 0.53, radius))
        means.append(pixels[RIGHT_LUNG].mean())
        spreads.append(abs(pixels[HEART].mean() - clear[HEART].mean()))
    assert means == sorted(means)
    assert means[1] - means[0] > 100
    assert max(spreads) < 300


def test_an_opacity_beside_the_lungs_leaves_hardly_a_trace() -> None:
    difference = film(Opacity(0.5, 0.95, 2.0)).astype(int) - film()
    assert np.abs(difference).mean() < 3


def test_the_noise_is_that_of_photons() -> None:
    """Where fewer photons arrive, behind the belly, the relative noise is stronger than behind the shoulder's edge."""
    pixels = project(rows=1024, columns=896, seed=5).astype(np.float32)
    grain = pixels - blur(pixels, 2.0)
    slope = pixels * (4095 - pixels)  # of the S-shaped curve by which the film is shown
    belly, axilla = (slice(940, 1000), slice(500, 600)), (slice(500, 700), slice(60, 80))
    assert (grain / slope)[belly].std() > 2 * (grain / slope)[axilla].std()


def test_the_word_is_burned_in() -> None:
    corner = film()[5:18, 150:222]
    assert 0.1 < (corner > 1500).mean() < 0.6
    assert corner.max() > 4000
