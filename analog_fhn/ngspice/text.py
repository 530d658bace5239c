"""Netlist text: numbers, parameters and instances of subcircuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Instance:
    """A subcircuit's instance in a netlist, before it is text.

    Parameters
    ----------
    name
        Begins with X.
    nodes
        In the order of the subcircuit's pins.
    subcircuit
        Its name.
    parameters
        Names and values, in SI units.
    remark
        A comment before it; "": none. Fixed text with numbers.
    """

    name: str
    nodes: tuple[str, ...]
    subcircuit: str
    parameters: Mapping[str, float]
    remark: str = ""


def number(value: float) -> str:
    """Plain SI float as netlist text; reads back as the same number.

    Raises
    ------
    ValueError
        If the value is not finite: a simulator would take "nan" for a name.
    """
    if not np.isfinite(value):
        raise ValueError(f"{value} cannot stand in a netlist; expected a finite number")
    return repr(float(value))


def instance_lines(instances: Sequence[Instance]) -> list[str]:
    """Text of instances of subcircuits."""
    lines = []
    for instance in instances:
        lines += [f"* {instance.remark}"] if instance.remark else []
        lines.append(f"{instance.name} {' '.join(instance.nodes)} {instance.subcircuit}")
        lines += parameter_lines(instance.parameters)
    return lines


def parameter_lines(parameters: Mapping[str, float], per_line: int = 4) -> list[str]:
    """Parameters of an instance as continuation lines."""
    items = [f"{name}={number(value)}" for name, value in parameters.items()]
    rows = [" ".join(items[k : k + per_line]) for k in range(0, len(items), per_line)]
    return [f"+ {'' if k else 'PARAMS: '}{row}" for k, row in enumerate(rows)]
