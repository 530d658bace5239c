"""The parts to build with, read from a YAML file: by name from `calibration/`, or by the user's path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analog_fhn.errors import InputError
from analog_fhn.resources import resource

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Supplies(_Section):
    """Supply rails and the voltage range that the design may use (V)."""

    positive: Positive
    negative: Annotated[float, Field(lt=0, allow_inf_nan=False)]
    reference: Positive
    linear_range: Positive
    minimum_scale: Positive


class NeuronBase(_Section):
    """Resistors that set the impedance level of the neuron (ohm)."""

    r1: Positive
    r4: Positive
    ra: Positive


class Passive(_Section):
    """Tolerance class of a resistor or capacitor: a fraction, and how parts are spread within it."""

    tolerance: Fraction
    distribution: Literal["normal", "uniform"]


class OpAmp(_Section):
    """Operational amplifier: offset (V), DC gain, gain-bandwidth (Hz), slew rate (V/s), output limit (V)."""

    offset_sigma: NonNegative
    gain: Positive
    gain_bandwidth: Positive
    slew_rate: Positive
    output_limit: Positive


class Multiplier(_Section):
    """Four-quadrant multiplier W = X Y / scale: scale (V), errors, bandwidth (Hz), output limit (V)."""

    scale: Positive
    scale_sigma: Fraction
    offset_sigma: NonNegative
    bandwidth: Positive
    output_limit: Positive


class Array(_Section):
    """Conductance range (S), levels, mapping and programming error of the crossbar devices."""

    g_min: NonNegative
    g_max: Positive
    levels: Annotated[int, Field(ge=2)] | None
    mapping: Literal["one-sided", "two-sided"]
    clip_quantile: Annotated[float, Field(gt=0, le=1)]
    programming_error: Fraction

    @model_validator(mode="after")
    def _range(self) -> Array:
        if self.g_min >= self.g_max:
            raise ValueError(f"g_min ({self.g_min}) must be below g_max ({self.g_max})")
        return self


class Technology(_Section):
    """A typed, frozen technology; `Technology.load` reads it, `save` writes it back unchanged."""

    format: Literal[1]
    name: str
    source: str
    time_unit: Positive
    supplies: Supplies
    neuron: NeuronBase
    resistor: Passive
    capacitor: Passive
    opamp: OpAmp
    multiplier: Multiplier
    array: Array

    @model_validator(mode="after")
    def _headroom(self) -> Technology:
        limits = {
            "supplies.positive": self.supplies.positive,
            "-supplies.negative": -self.supplies.negative,
            "opamp.output_limit": self.opamp.output_limit,
            "multiplier.output_limit": self.multiplier.output_limit,
        }
        for name, limit in limits.items():
            if self.supplies.linear_range >= limit:
                raise ValueError(
                    f"supplies.linear_range ({self.supplies.linear_range} V) must be below {name} ({limit} V): "
                    "a rail would be reached"
                )
        return self

    @classmethod
    def load(cls, name: str | Path) -> Technology:
        """Read a technology by its name in `calibration/` or by the path of a YAML file.

        Raises
        ------
        InputError
            Unknown name, unreadable file, unknown key, wrong type or value out of range; the message names
            the file and the key.
        """
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            known = sorted(p.stem for p in resource("calibration").glob("*.yaml"))
            if str(name) not in known:
                raise InputError(
                    f"technology {str(name)!r}: not one of {', '.join(known)}, and no path of a .yaml file"
                )
            path = resource("calibration", f"{name}.yaml")
        data = read_yaml(path, "technology")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(explain(path, error)) from None

    def save(self, path: Path) -> None:
        """Write the technology as YAML; `load` gives an equal one."""
        path.write_text(yaml.safe_dump(self.model_dump(), sort_keys=False), encoding="utf-8")


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


def explain(path: Path, error: ValidationError) -> str:
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
