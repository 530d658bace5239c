"""Typed, frozen configuration files: YAML sections, number types, and messages that name file, key and value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analog_fhn.errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """One section of a file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_yaml(path: Path, what: str) -> dict[str, object]:
    """Read a YAML mapping with `safe_load`.

    Raises
    ------
    InputError
        If the file is missing, no YAML, or not a mapping with text keys.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} file {path}: cannot be read ({error})") from None
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{what} file {path}: is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise InputError(f"{what} file {path}: expected 'key: value' lines, found {type(data).__name__}")
    return data


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and reads 1e-3 and 10e3 as numbers (YAML 1.2), not as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def explain(path: Path | str, error: ValidationError) -> str:
    """One message for everything that is wrong with a configuration file: file, key, value, expectation."""
    parts = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key '{key}'")
        elif item["type"] == "missing":
            parts.append(f"key '{key}' is missing")
        else:
            value = f"{key} = {item['input']!r}: " if key else ""
            parts.append(value + item["msg"].removeprefix("Value error, "))
    return f"{path}: " + "; ".join(parts)
