"""The state of a trimmed chip: its codes and what its arrays were written to; as a file, and as a chip."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn.circuit.chip import ArrayLayer, ArrayTarget, Chip, assemble, make_array
from analog_fhn.circuit.crossbar import Writes
from analog_fhn.circuit.design import Design
from analog_fhn.circuit.sense import columns
from analog_fhn.circuit.technology import Technology
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.npz import read_npz
from analog_fhn.trim.codes import Codes, TrimHardware

FORMAT = 1

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
            Anything JSON can hold.
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
            "technology": design.technology.model_dump(),
            "hardware": asdict(self.hardware),
            "saturated": self.codes.saturated,
            "verify": verify,
            "notes": notes or {},
        }
        with path.open("wb") as file:
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


def load_state(path: Path, network: Network) -> tuple[TrimState, Technology]:
    """Read a trim file: the state, and the technology that the chip was made in.

    Raises
    ------
    InputError
        For a file that is none, is damaged, has another format, or was made for another network.
    """
    arrays = read_npz(path, "a trim")
    try:
        meta = json.loads(str(arrays["meta"]))
        if meta["format"] != FORMAT:
            raise InputError(f"{path}: format {meta['format']!r}; this version reads format {FORMAT}")
        if meta["network_sha256"] != network.sha256:
            raise InputError(
                f"{path}: made for a network with weights {meta['network_sha256'][:12]}..., but the network given has "
                f"{network.sha256[:12]}...; expected the network that was trimmed"
            )
        if meta["fhn"] != asdict(network.fhn):
            raise InputError(f"{path}: made for FHN settings {meta['fhn']}, but the network has {asdict(network.fhn)}")
        technology = Technology.model_validate(meta["technology"])
        design = Design(network, technology)
        gain, offset, output = (_codes(path, arrays, name, network) for name in _CODES)
        codes = Codes(gain, offset, output, int(meta["saturated"]))
        targets = tuple(
            _target(path, arrays, layer, nominal, verify)
            for layer, (nominal, verify) in enumerate(zip(design.arrays, meta["verify"], strict=True))
        )
        return TrimState(meta["chip"], codes, TrimHardware(**meta["hardware"]), targets), technology
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]!r} is missing; expected a file of 'analog-fhn trim'") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a file of 'analog-fhn trim'") from None


def _codes(path: Path, arrays: dict[str, Any], name: str, network: Network) -> Any:
    values, n = arrays[f"{name}_code"], network.layer_sizes[2 if name == "output" else 1]
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise InputError(
            f"{path}: {name}_code has shape {values.shape} and type {values.dtype}: expected {n} whole numbers"
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
