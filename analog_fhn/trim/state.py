"""The state of a trimmed chip: its codes and what its arrays were written to; as a file, and as a chip."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn._support.files import new_file
from analog_fhn._support.json_text import typed
from analog_fhn._support.npz import read_npz, reading, take_meta
from analog_fhn.array.crossbar import Writes
from analog_fhn.array.sense import columns
from analog_fhn.chip import ArrayLayer, ArrayTarget, Chip, assemble, make_array
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.codes import Codes, TrimHardware, code_range

FORMAT = 2
_WHAT = "a file of 'analog-fhn trim'"

_CODES = ("gain", "offset", "output")


@dataclass(frozen=True, eq=False)
class TrimState:
    """Everything that was set and written on one chip.

    Parameters
    ----------
    seed
        Of the chip; None: a chip without spread, or a real one.
    codes, hardware
        Trim codes and what they set.
    targets
        Input and output array: each device's last target, and in which round it was written.
    """

    seed: int | None
    codes: Codes
    hardware: TrimHardware
    targets: tuple[ArrayTarget, ...]

    @classmethod
    def untouched(cls, design: Design, seed: int | None, hardware: TrimHardware) -> TrimState:
        """Of a chip as it was made."""
        return cls(seed, Codes.none(design.network), hardware, design.arrays)

    def chip(self, design: Design, made: Chip | None = None) -> Chip:
        """The chip in this state.

        Parameters
        ----------
        design
            It is a sample of.
        made
            The chip as it was made, if it is at hand.
        """
        made = design.chip(self.seed) if made is None else made
        assert made.arrays is not None
        arrays = tuple(
            layer if target.writes is None else make_array(target, number, design.technology, self.seed)
            for number, (layer, target) in enumerate(zip(made.arrays, self.targets, strict=True))
        )
        return with_codes(design, made, arrays, self.codes, self.hardware)

    def save(self, path: Path, design: Design, notes: dict[str, Any] | None = None) -> None:
        """Write a `.npz` file; nothing is pickled.

        Parameters
        ----------
        notes
            Anything JSON can hold. `analog-fhn trim` says the error groups of the technology in "errors".
        """
        arrays = {f"{name}_code": getattr(self.codes, name) for name in _CODES}
        verify: list[list[list[float | None]] | None] = []
        for layer, target in enumerate(self.targets):
            arrays |= {f"g_plus_{layer}": target.crossbar.g_plus, f"g_minus_{layer}": target.crossbar.g_minus}
            verify.append(None if target.writes is None else [list(entry) for entry in target.writes.verify])
            if target.writes is not None:
                arrays |= {f"round_plus_{layer}": target.writes.plus, f"round_minus_{layer}": target.writes.minus}
        meta = {
            "format": FORMAT,
            "chip": self.seed,
            "network_sha256": design.network.sha256,
            "fhn": asdict(design.network.fhn),
            "hidden": design.network.hidden,
            "recentre": design.network.recentre,
            "readout": design.network.readout,
            "protocol": asdict(design.network.protocol),
            "technology": design.technology.model_dump(),
            "hardware": asdict(self.hardware),
            "saturated": {"rows": self.codes.saturated_rows, "outputs": self.codes.saturated_outputs},
            "verify": verify,
            "notes": notes or {},
        }
        with new_file(path) as file:
            np.savez_compressed(file, meta=np.array(json.dumps(meta)), **arrays)


def with_codes(
    design: Design, made: Chip, arrays: tuple[ArrayLayer, ...], codes: Codes, hardware: TrimHardware
) -> Chip:
    """Chip of the same components with these arrays, and with codes set.

    Parameters
    ----------
    made
        As it was made: without codes.
    arrays
        As they are written now, without codes.
    """
    assert made.parts is not None
    assert made.pair is not None
    assert made.driver is not None
    driver, sense = codes.applied(made.driver, arrays[1].sense, hardware)
    output = replace(arrays[1], sense=sense, columns=columns(sense, arrays[1].ports, design.technology))
    parts = made.parts, made.pair, driver
    return assemble(
        design.network, design.technology, design.scales, design.drivers, parts, (arrays[0], output), made.seed
    )


def as_trimmed(path: Path, network: Network) -> Network:
    """Network with the readout, the recentring and the protocol that a trim file was made with.

    Raises
    ------
    InputError
        As for `load_state`.
    """
    with reading(path, _WHAT):
        meta = _meta(path, read_npz(path, _WHAT), network)
        return replace(
            network,
            readout=meta["readout"],
            recentre=typed(meta["recentre"], bool, "recentre", "true or false"),
            protocol=Protocol(**meta["protocol"]),
        )


def trim_notes(path: Path) -> dict[str, Any]:
    """Notes that a trim file was saved with."""
    with reading(path, _WHAT):
        meta = take_meta(path, read_npz(path, _WHAT), _WHAT)
        notes: dict[str, Any] = typed(meta["notes"], dict, "notes", "names and values")
        for group in typed(notes.get("errors", []), list, "notes: errors", "a list of names"):
            typed(group, str, "notes: errors", "a list of names")
        return notes


def measured_from(path: Path) -> str | None:
    """File of measurements that a trim file was made from; None: it is that of a drawn chip, which it names.

    Of the chip that was measured the file holds the settings alone: loaded, they are those of a nominal chip.
    """
    source = trim_notes(path).get("measurements")
    return None if source is None else str(source)


def load_state(path: Path, network: Network) -> tuple[TrimState, Technology]:
    """Read a trim file: the state, and the technology that the chip was made in.

    Parameters
    ----------
    network
        That was trimmed, recentred or not as it was then; `as_trimmed` makes it so.

    Raises
    ------
    InputError
        For a file that is none, is damaged, has another format, or was made for another network.
    """
    arrays = read_npz(path, _WHAT)
    with reading(path, _WHAT):
        meta = _meta(path, arrays, network)
        if meta["recentre"] != network.recentre:
            raise InputError(
                f"{path}: made {_rows(meta['recentre'])}, but the network is {_rows(network.recentre)}; its codes fit "
                "the rows that were trimmed"
            )
        technology = Technology.from_values(meta["technology"], f"{path}: technology")
        design = Design(network, technology)
        hardware = TrimHardware(**meta["hardware"])
        gain, offset, output = (_codes(path, arrays, name, network, hardware) for name in _CODES)
        beyond = (_whole(path, f"saturated {name}", meta["saturated"][name]) for name in ("rows", "outputs"))
        codes = Codes(gain, offset, output, *beyond)
        targets = tuple(
            _target(path, arrays, layer, nominal, verify)
            for layer, (nominal, verify) in enumerate(zip(design.arrays, meta["verify"], strict=True))
        )
        seed = None if meta["chip"] is None else _whole(path, "chip", meta["chip"])
        return TrimState(seed, codes, hardware, targets), technology


def _meta(path: Path, arrays: dict[str, Any], network: Network) -> dict[str, Any]:
    """What the file says of itself, once it is known to be of this network."""
    meta = take_meta(path, arrays, _WHAT)
    if meta["format"] != FORMAT:
        raise InputError(f"{path}: format {shown(meta['format'])}; this version reads format {FORMAT}")
    if meta["network_sha256"] != network.sha256:
        raise InputError(
            f"{path}: made for a network with weights {str(meta['network_sha256'])[:12]}..., but the network given has "
            f"{network.sha256[:12]}...; expected the network that was trimmed"
        )
    if meta["fhn"] != asdict(network.fhn):
        raise InputError(
            f"{path}: made for FHN settings {shown(meta['fhn'])}, but the network has {asdict(network.fhn)}"
        )
    if meta["hidden"] != network.hidden:
        raise InputError(
            f"{path}: made for {shown(meta['hidden'])} hidden units, but the network has {network.hidden!r}"
        )
    return meta


def _rows(recentre: bool) -> str:
    return "recentred" if recentre else "raw (--raw)"


def _whole(path: Path, key: str, value: Any) -> int:
    whole: int = typed(value, int, f"{path}: {key}", "a whole number from 0")
    if whole < 0:
        raise InputError(f"{path}: {key} is {whole}: expected a whole number from 0")
    return whole


def _codes(path: Path, arrays: dict[str, Any], name: str, network: Network, hardware: TrimHardware) -> Any:
    values, n = arrays[f"{name}_code"], network.layer_sizes[2 if name == "output" else 1]
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise InputError(
            f"{path}: {name}_code has shape {values.shape} and type {values.dtype}: expected {n} whole numbers"
        )
    lowest, highest = code_range(getattr(hardware, f"{name}_bits"))
    beyond = np.flatnonzero((values < lowest) | (values > highest))
    if beyond.size:
        raise InputError(
            f"{path}: {name}_code[{beyond[0]}] is {values[beyond[0]]}: expected {lowest} to {highest}, the codes of "
            f"{getattr(hardware, f'{name}_bits')} bits"
        )
    return values.astype(np.int64)


def _target(
    path: Path, arrays: dict[str, Any], layer: int, nominal: ArrayTarget, verify: list[list[Any]] | None
) -> ArrayTarget:
    shape = nominal.crossbar.g_plus.shape
    names = [f"g_plus_{layer}", f"g_minus_{layer}"]
    names += [] if verify is None else [f"round_plus_{layer}", f"round_minus_{layer}"]
    for name in names:
        if arrays[name].shape != shape:
            raise InputError(f"{path}: {name} has shape {arrays[name].shape}: expected {shape}")
        if not np.all(np.isfinite(arrays[name])) or np.any(arrays[name] < 0):
            raise InputError(f"{path}: {name} holds negative values or NaN: expected none")
    bar = replace(nominal.crossbar, g_plus=arrays[names[0]], g_minus=arrays[names[1]])
    if verify is None:
        return replace(nominal, crossbar=bar)
    plus, minus = (arrays[name].astype(np.int32) for name in names[2:])
    for name, rounds in zip(names[2:], (plus, minus), strict=True):
        if rounds.max(initial=0) > len(verify):
            raise InputError(f"{path}: {name} names round {rounds.max()}; there were {len(verify)}")
    writes = Writes(plus, minus, tuple((None if t is None else float(t), int(most)) for t, most in verify))
    return replace(nominal, crossbar=bar, writes=writes)
