"""Pictures that are no films: what scikit-image and scikit-learn bring along as samples."""

from importlib import resources

import cv2
import numpy as np

from cxr_node.errors import ConfigError
from cxr_node.imaging import PICTURES, Prepared

FOLDERS = (("skimage", "data"), ("sklearn.datasets", "images"))
"""Package and folder."""


def sample_pictures() -> list[Prepared]:
    """Every sample picture as grey values (h, w), 0 black to 1 white, in the order of their names.

    Raises:
        ConfigError: a package is not installed, or has none.
    """
    found = []
    for package, folder in FOLDERS:
        try:
            place = resources.files(package) / folder
        except ModuleNotFoundError as error:
            raise ConfigError(f"The package {package} is not installed; it comes with the extra `train`.") from error
        named = sorted((file for file in place.iterdir() if file.is_file()), key=lambda file: file.name)
        data = [file.read_bytes() for file in named if file.name.lower().endswith(tuple(PICTURES))]
        read = [cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_GRAYSCALE) for each in data]
        if not read:
            raise ConfigError(f"The package {package} brings no pictures in {folder}.")
        found += [np.asarray(picture, np.float32) / np.float32(255) for picture in read if picture is not None]
    return found
