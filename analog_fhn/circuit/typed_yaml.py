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


def find_yaml(name: str | Path, what: str, folder: Path) -> Path:
    """Path of a YAML file that the user names: by its path, or by its name in a folder.

    Raises
    ------
    InputError
        For a name that is not there; the message lists those that are.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if str(name) not in known:
        raise InputError(f"{what} {str(name)!r}: not one of {', '.join(known)}, and no path of a .yaml file")
    return folder / f"{name}.yaml"


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


_TYPE = re.compile(r"constrained-\w+|literal\[.*\]|list\[.*\]|int|float|Device")


def explain(path: Path | str, error: ValidationError) -> str:
    """One message for everything that is wrong with a configuration file: file, key, value, expectation."""
    # Where a value may be of several types, each that was tried is in the place of an error of its own.
    wrong: dict[str, list[str]] = {}
    for item in error.errors():
        key = ".".join(part for part in map(str, item["loc"]) if not _TYPE.fullmatch(part))
        if item["type"] == "extra_forbidden":
            said = f"unknown key '{key}'"
        elif item["type"] == "missing":
            said = f"key '{key}' is missing"
        else:
            said = item["msg"].removeprefix("Value error, ")
            if key and key not in wrong:
                # The values of a whole section would hide what is said of them.
                value = "" if isinstance(item["input"], dict) else f" = {item['input']!r}"
                said = f"{key}{value}: {said}"
        wrong.setdefault(key, []).append(said)
    return f"{path}: " + "; ".join(" or: ".join(said) for said in wrong.values())
