"""The step between training and use: a finished run is calibrated and its operating points are chosen."""

from collections.abc import Sequence

from training.calibrate import calibrate, calibrate_classes, calibrated, operating_points
from training.data import Film, trainable
from training.fit import logits_of
from training.priming import film_batches
from training.run import Run
from training.splits import films_of


def calibrate_run(run: Run, films: Sequence[Film], device: str = "cpu") -> None:
    """Calibrate a run on the validation films among `films`, and keep that with it.

    Raises:
        ConfigError: the run is not finished, or the films do not suffice.
    """
    recipe, network = run.recipe(), run.network(device)
    if recipe.classes:
        films = [film for film in films_of(recipe, films) if film.split == "val"]
        run.keep_calibration(*calibrate_classes(recipe, films, logits_of(network, film_batches(films, recipe))))
        return
    films = trainable(films, recipe.data.shares, "val")
    logits = logits_of(network, film_batches(films, recipe))
    calibration = calibrate(films, logits)
    probabilities = calibrated(logits[:, 0], calibration.finding_scale, calibration.finding_bias)
    run.keep_calibration(calibration, operating_points(films, probabilities))
