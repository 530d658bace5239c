"""The state of a trimmed chip: its codes and what its arrays were written to; as a file, and as a chip."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn._support.files import new_file
from analog_fhn._support.json_text import typed
from analog_fhn._support.npz import check_format, read_npz, reading, take_meta
from analog_fhn.array.crossbar import Writes
from analog_fhn.chip import ArrayLayer, ArrayTarget, Hardware, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.network import Network
from analog_fhn.neuron import Protocol
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.codes import IntArray, RowCodes, TrimCodes, TrimHardware, code_range

FORMAT = 2
_WHAT = "a file of 'analog-fhn trim'"


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
        All arrays, the output array last: each device's last target, and in which round it was written.
    """

    seed: int | None
    codes: TrimCodes
    hardware: TrimHardware
    targets: tuple[ArrayTarget, ...]

    @classmethod
    def untouched(cls, design: Design, seed: int | None, hardware: TrimHardware) -> TrimState:
        """Of a chip as it was made."""
        return cls(seed, TrimCodes.none(design.network), hardware, design.arrays)

    def chip(self, design: Design) -> ManufacturedChip:
        """The chip in this state, a sample of the design."""
        as_made = design.chip(self.seed)
        arrays = tuple(
            array if target.writes is None else ArrayLayer.made(target, design.technology, self.seed)
            for array, target in zip(as_made.arrays, self.targets, strict=True)
        )
        return with_codes(as_made, arrays, self.codes, self.hardware)

    def save(self, path: Path, design: Design, notes: dict[str, Any] | None = None) -> None:
        """Write a `.npz` file; nothing is pickled.

        Parameters
        ----------
        notes
            Anything JSON can hold. `analog-fhn trim` says the error groups of the technology in "errors".
        """
        arrays: dict[str, Any] = {"output_code": self.codes.output}
        saturated = {"outputs": self.codes.saturated_outputs}
        for layer, rows in enumerate(self.codes.rows):
            suffix = _suffix(layer)
            arrays |= {f"gain_code{suffix}": rows.gain, f"offset_code{suffix}": rows.offset}
            saturated[f"rows{suffix}"] = rows.saturated
        verify: list[list[list[float | None]] | None] = []
        for number, target in enumerate(self.targets):
            arrays |= {f"g_plus_{number}": target.crossbar.g_plus, f"g_minus_{number}": target.crossbar.g_minus}
            verify.append(None if target.writes is None else [list(entry) for entry in target.writes.verify])
            if target.writes is not None:
                arrays |= {f"round_plus_{number}": target.writes.plus, f"round_minus_{number}": target.writes.minus}
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
            "saturated": saturated,
            "verify": verify,
            "notes": notes or {},
        }
        with new_file(path) as file:
            np.savez_compressed(file, meta=np.array(json.dumps(meta)), **arrays)


def with_codes(
    as_made: ManufacturedChip, arrays: tuple[ArrayLayer, ...], codes: TrimCodes, hardware: TrimHardware
) -> ManufacturedChip:
    """Chip of the same cells with these arrays, and with codes set.

    Parameters
    ----------
    as_made
        The chip without codes.
    arrays
        As they are written now, without codes; the output array last.
    """
    parts = tuple(
        Hardware(array, rows.applied(one.cells, hardware), one.holds)
        for one, array, rows in zip(as_made.hardware, arrays, codes.rows, strict=False)
    )
    output = arrays[-1].with_sense(codes.null(arrays[-1].sense, hardware), as_made.technology)
    return as_made.with_parts(parts, output)


def _suffix(layer: int) -> str:
    """What ends the names in a file of a hidden layer's codes; the first layer's have no number."""
    return f"_{layer}" if layer else ""


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
        rows = []
        for layer, dense in enumerate(network.hidden_layers):
            suffix = _suffix(layer)
            gain = _codes(path, arrays, f"gain_code{suffix}", dense.n_out, hardware.gain_bits)
            offset = _codes(path, arrays, f"offset_code{suffix}", dense.n_out, hardware.offset_bits)
            rows.append(RowCodes(gain, offset, _saturated(path, meta, f"rows{suffix}")))
        output = _codes(path, arrays, "output_code", network.output.n_out, hardware.output_bits)
        codes = TrimCodes(tuple(rows), output, _saturated(path, meta, "outputs"))
        targets = tuple(
            _target(path, arrays, number, nominal, verify)
            for number, (nominal, verify) in enumerate(zip(design.arrays, meta["verify"], strict=True))
        )
        seed = None if meta["chip"] is None else _whole(path, "chip", meta["chip"])
        return TrimState(seed, codes, hardware, targets), technology


def _meta(path: Path, arrays: dict[str, Any], network: Network) -> dict[str, Any]:
    """What the file says of itself, once it is known to be of this network."""
    meta = take_meta(path, arrays, _WHAT)
    check_format(path, meta, FORMAT)
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


def _saturated(path: Path, meta: dict[str, Any], name: str) -> int:
    return _whole(path, f"saturated {name}", meta["saturated"][name])


def _codes(path: Path, arrays: dict[str, Any], name: str, n: int, bits: int) -> IntArray:
    values = arrays[name]
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise InputError(f"{path}: {name} has shape {values.shape} and type {values.dtype}: expected {n} whole numbers")
    lowest, highest = code_range(bits)
    beyond = np.flatnonzero((values < lowest) | (values > highest))
    if beyond.size:
        raise InputError(
            f"{path}: {name}[{beyond[0]}] is {values[beyond[0]]}: expected {lowest} to {highest}, the codes of {bits} "
            "bits"
        )
    return np.asarray(values.astype(np.int64))


def _target(
    path: Path, arrays: dict[str, Any], number: int, nominal: ArrayTarget, verify: list[list[Any]] | None
) -> ArrayTarget:
    shape = nominal.crossbar.g_plus.shape
    names = [f"g_plus_{number}", f"g_minus_{number}"]
    names += [] if verify is None else [f"round_plus_{number}", f"round_minus_{number}"]
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
