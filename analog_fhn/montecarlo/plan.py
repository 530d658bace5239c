"""The sweep file: typed, unknown keys are errors, documented defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from analog_fhn.circuit.typed_yaml import Section, explain, read_yaml
from analog_fhn.errors import InputError


class Sweep(Section):
    """What to sweep.

    Parameters
    ----------
    network
        Network file, relative to the sweep file.
    technology
        Name, or path of a YAML file relative to the sweep file.
    chips
        Number of chips.
    images
        Number of images, from the first on; null: all.
    dataset
        mnist, digits, or a path relative to the sweep file.
    split
        Which images.
    seed
        Root seed; chip k depends on (seed, k) alone.
    readout
        Overrides the network's.
    gamma
        Overrides the network's.
    backend
        What integrates the neurons.
    specification
        Accuracy (fraction) that a chip must reach; null: the plain network's accuracy less 0.005.
    """

    network: str
    technology: str
    chips: Annotated[int, Field(ge=1)]
    images: Annotated[int, Field(ge=1)] | None = None
    dataset: str
    split: Literal["train", "test"] = "test"
    seed: Annotated[int, Field(ge=0)]
    readout: Literal["vote", "mean"] | None = None
    gamma: float | None = None
    backend: Literal["direct", "reference", "brian", "spice"] = "direct"
    specification: Annotated[float, Field(ge=0, le=1)] | None = None

    @classmethod
    def load(cls, path: Path) -> Sweep:
        """Read a sweep file; paths in it become relative to its folder.

        Raises
        ------
        InputError
            Unreadable file, unknown or missing key, wrong type or value; names the file and the key.
        """
        try:
            sweep = cls.model_validate(read_yaml(path, "sweep"))
        except ValidationError as error:
            raise InputError(explain(path, error)) from None
        folder = path.parent
        changed = {"network": str(folder / sweep.network)}
        if sweep.technology.endswith((".yaml", ".yml")):
            changed["technology"] = str(folder / sweep.technology)
        if sweep.dataset not in ("mnist", "digits"):
            changed["dataset"] = str(folder / sweep.dataset)
        return sweep.model_copy(update=changed)
