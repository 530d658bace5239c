"""Files of twins of either kind, as the backend that they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analog_fhn._support.npz import open_npz, take_meta
from analog_fhn.errors import InputError
from analog_fhn.reconstruct.driven.backend import Activation, LivingNeurons
from analog_fhn.reconstruct.driven.twin import KIND
from analog_fhn.reconstruct.twin import Twins


def load_twins(
    paths: Sequence[Path], activation: Activation | None = None, spread: float | None = None, seed: int = 0
) -> Twins | LivingNeurons:
    """Backend of twins that a current drives, or of those of recordings at several drives.

    Parameters
    ----------
    activation
        Of twins that a current drives; None: the rate.
    spread
        Share of the twins' own spread with which units are drawn around the first one; None: units are the twins in
        turn.
    seed
        Of this draw.

    Raises
    ------
    InputError
        If a file is no twin, both kinds are among them, or an activation or a spread is asked of the other kind.
    """
    driven = [path for path in paths if _is_driven(path)]
    if not driven:
        if activation is not None:
            raise InputError(f"{paths[0]}: is no twin that a current drives; expected one, for its {activation}")
        if spread is not None:
            raise InputError(f"{paths[0]}: is no twin that a current drives; expected such twins, for their spread")
        return Twins.load(paths)
    if len(driven) < len(paths):
        other = next(path for path in paths if path not in driven)
        raise InputError(f"{driven[0]} is a twin that a current drives, {other} is none; expected twins of one kind")
    neurons = LivingNeurons.load(driven, activation or "rate")
    return neurons if spread is None else neurons.drawn(spread, seed)


def _is_driven(path: Path) -> bool:
    with open_npz(path, "a twin") as arrays:
        text = {"meta": arrays["meta"]} if "meta" in arrays else {}
    return take_meta(path, text, "a twin").get("kind") == KIND
