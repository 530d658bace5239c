"""The technology, the chip and its noise that options ask for, and what `design` would warn of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from analog_fhn.cli import console
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.chip import Chip, ManufacturedChip
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.noise import Noise
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
        return technology.with_errors(error_groups(errors))
    except InputError as error:
        raise InputError(f"--errors {errors!r}: {error}, or none") from None


def error_groups(errors: str | None) -> list[str]:
    """Groups that `--errors` spreads: without the option all of them."""
    from analog_fhn.technology.technology import ERRORS

    if errors is None:
        return list(ERRORS)
    return [] if errors == "none" else list(dict.fromkeys(group.strip() for group in errors.split(",")))


def requested_chip(
    network: Network,
    technology: str | None,
    seed: int | None,
    backend: str,
    *,
    errors: str | None = None,
    temperature: float | None = None,
    supply: float | None = None,
    trim: Path | None = None,
) -> ManufacturedChip | None:
    """Chip that the options ask for, as `make_chip`; None: they ask for ideal neurons and float weights.

    The spice backend needs components: without a technology it gets the nominal chip of `discrete`.
    """
    if trim is None and technology is None:
        for option, value in (("chip", seed), ("errors", errors), ("temperature", temperature), ("supply", supply)):
            if value is not None:
                raise InputError(
                    f"--{option} {value} needs a --technology to draw the chip from (for example --technology discrete)"
                )
        if backend != "spice":
            return None
        technology = "discrete"
    return make_chip(network, technology, seed, errors=errors, temperature=temperature, supply=supply, trim=trim)


def make_chip(
    network: Network,
    technology: str | None,
    seed: int | None,
    *,
    errors: str | None = None,
    temperature: float | None = None,
    supply: float | None = None,
    trim: Path | None = None,
) -> ManufacturedChip:
    """Chip that the options ask for, of a technology (None: discrete) or of a trim file, which brings it.

    What `design` would warn of is said on standard error. A trim file brings technology and seed; those given must be
    the same.
    """
    from analog_fhn.design import Design

    if trim is not None:
        return trimmed_chip(network, trim, technology, seed, errors=errors, temperature=temperature, supply=supply)
    parts = load_technology(technology or "discrete", errors=errors, temperature=temperature, supply=supply)
    design = Design(network, parts)
    warn_of(design)
    return design.chip(seed)


def trimmed_chip(
    network: Network,
    trim: Path,
    technology: str | None,
    seed: int | None,
    *,
    errors: str | None = None,
    temperature: float | None = None,
    supply: float | None = None,
) -> ManufacturedChip:
    """Chip of a trim file; technology and seed, where they are given, must be those that it was trimmed with."""
    from analog_fhn.design import Design
    from analog_fhn.trim.state import load_state, measured_from

    state, technology_of_trim = load_state(trim, network)
    measured = measured_from(trim)
    if measured is not None:
        console.note(
            f"warning: {trim} holds the codes of the chip measured in {measured}; here they are set on a "
            "nominal chip, whose accuracy is not that chip's"
        )
    if technology is not None and load_technology(technology) != technology_of_trim:
        raise InputError(
            f"--technology {technology}: {trim} was made with the technology {technology_of_trim.name!r} of other values; leave the "
            "option out, the file holds them"
        )
    if seed is not None and seed != state.seed:
        raise InputError(f"--chip {seed}: {trim} is the trim of chip {state.seed}")
    under = technology_of_trim.under(temperature=temperature, supply=supply)
    if errors is not None:
        under = under.with_errors(error_groups(errors))
    design = Design(network, under)
    warn_of(design)
    return state.chip(design)


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
        console.note(message)
    if len(every) > _MOST_WARNINGS:
        console.note(f"and {len(every) - _MOST_WARNINGS} more warnings")


def density(noise: str) -> float:
    """Density of white current noise (A/sqrt(Hz)), the value of `--noise`."""
    try:
        value = float(noise)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"--noise {noise}: expected 'intrinsic' or a density in A/sqrt(Hz), 1e-9 for instance")
    return value


def make_noise(chip: Chip | None, noise: str | None, seed: int | None) -> tuple[Noise, ...] | None:
    """Noise of each hidden layer that the options ask for."""
    from analog_fhn.noise import chip_noise

    if noise is None:
        if seed is not None:
            raise InputError(f"--noise-seed {seed}: there is no noise without --noise intrinsic or --noise DENSITY")
        return None
    if chip is None:
        raise InputError(f"--noise {noise}: noise in physical units needs a technology (--technology discrete)")
    return chip_noise(chip, 0 if seed is None else seed, None if noise == "intrinsic" else density(noise))
