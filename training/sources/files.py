"""Picture files of a folder, and their sizes without decoding them."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cxr_node.errors import ConfigError
from cxr_node.imaging import PICTURES


def pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, by name; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")
    )


def size_of(path: Path) -> tuple[int, int]:
    """Width and height as the file's header says.

    Raises:
        ConfigError: it is no picture.
    """
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, UnidentifiedImageError) as error:
        raise ConfigError(f"The film {path} cannot be used: it is not a picture that can be read.") from error
