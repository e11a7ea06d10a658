"""Files of settings in TOML, each checked against its model: recipes, the gate's recipes, screens."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cxr_node.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, model: type[Settings]) -> Settings:
    """What a file says.

    Raises:
        ConfigError: the file is missing, is no TOML, or says something that is not understood; all mistakes at once.
    """
    try:
        return checked(tomllib.loads(path.read_text(encoding="utf-8")), model, str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def checked(content: Mapping[str, Any], model: type[Settings], where: str) -> Settings:
    """Content as its model has it; `where` it stands goes into the error.

    Raises:
        ConfigError: it says something that is not understood; all mistakes at once.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"{where}: {mistakes}.") from error
