"""The technology that options ask for, and what `design` would warn of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from analog_fhn.cli import console
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.design import Design
    from analog_fhn.technology.technology import Technology

_MOST_WARNINGS = 20


def load_technology(
    name: str, *, errors: str | None = None, temperature: float | None = None, supply: float | None = None
) -> Technology:
    """Technology with the options of the command line applied."""
    from analog_fhn.technology.technology import Technology

    technology = Technology.load(name).under(temperature=temperature, supply=supply)
    if errors is None:
        return technology
    try:
        return technology.with_errors(error_groups(technology, errors))
    except InputError as error:
        raise InputError(f"--errors {errors!r}: {error}, or none") from None


def error_groups(technology: Technology, errors: str | None) -> list[str]:
    """Groups that `--errors` spreads: without the option all that the technology has."""
    if errors is None:
        return list(technology.ERRORS)
    return [] if errors == "none" else list(dict.fromkeys(group.strip() for group in errors.split(",")))


def warn_of(*designs: Design) -> None:
    """Say on standard error what `design` would warn of, the same only once."""
    from analog_fhn.checks.design import check

    findings = (finding for design in designs for finding in check(design))
    _warn(f"{finding.severity}: {finding.message}" for finding in findings if finding.severity != "note")


def warn_of_values(technology: Technology) -> None:
    """Say on standard error which values of a technology are unusual, where no design is made of it."""
    _warn(f"warning: {one}" for one in technology.unusual())


def _warn(messages: Iterable[str]) -> None:
    every = list(dict.fromkeys(messages))
    for message in every[:_MOST_WARNINGS]:
        console.warn(message)
    if len(every) > _MOST_WARNINGS:
        console.warn(f"and {len(every) - _MOST_WARNINGS} more warnings")


def density(noise: str) -> float:
    """Density of white current noise (A/sqrt(Hz)), the value of `--noise`."""
    try:
        value = float(noise)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"--noise {noise}: expected 'intrinsic' or a density in A/sqrt(Hz), 1e-9 for instance")
    return value
