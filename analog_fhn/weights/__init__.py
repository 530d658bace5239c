"""Trained networks in and out: ONNX, Keras, PyTorch (safetensors), scikit-learn, Equinox, NumPy; a reader per format.

Nothing in a file is unpickled, instantiated or run.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.hashing import sha256_of_stream
from analog_fhn._support.limits import LIMIT, open_archive
from analog_fhn._support.plugins import reader_of_ending
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.weights import equinox, keras, npz, onnx, safetensors, skops
from analog_fhn.weights.ceilings import QUANTILE, with_ceilings
from analog_fhn.weights.trained import Hidden, TrainedWeights, dense_layers, to_network

__all__ = ["READ_SUFFIXES", "SUFFIXES", "TrainedWeights", "load_network", "read", "to_network", "write"]

_WRITERS: dict[str, Callable[[Path, Network], None]] = {
    ".keras": keras.write_archive,
    ".weights.h5": keras.write_hdf5,
    ".safetensors": safetensors.write,
    ".npz": npz.write,
}

SUFFIXES = tuple(_WRITERS)
"""Endings of the files that are written, and read."""

READ_SUFFIXES = (".onnx", *SUFFIXES, ".h5", ".skops", ".eqx")
"""Endings of the files that are read."""

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


def load_network(
    path: str | Path,
    *,
    hidden: Hidden | None = None,
    input_range: tuple[float, float] | None = None,
    ceilings: float | Sequence[float] | None = None,
    images: NDArray[np.floating] | None = None,
    quantile: float = QUANTILE,
    scaling: tuple[float, float] | None = None,
    nearest: bool = False,
) -> Network:
    """Network of a network file, or of trained weights in any format that is read, with FHN neurons as hidden units.

    Parameters
    ----------
    path
        The file; its contents say what it is, not its name.
    hidden, input_range, ceilings, images, quantile, scaling, nearest
        What a file of weights does not say; see `to_network`.

    Raises
    ------
    InputError
        As for `read` and `to_network`.
    """
    return to_network(
        read(path), hidden=hidden, input_range=input_range, ceilings=ceilings, images=images, quantile=quantile,
        scaling=scaling, nearest=nearest,
    )  # fmt: skip


def read(path: str | Path) -> TrainedWeights:
    """Layers of a weight file, their values exactly, as float64; the file's content tells its format.

    Files of other endings are read by the reader that an installed package adds for them (entry points of the group
    ``analog_fhn.reader``, by the ending without its dot).

    Raises
    ------
    InputError
        If the file is missing, damaged, larger than `LIMIT` or a pickle; if its layers are no chain of dense ones,
        convolutions, means and what can be taken into them.
    MissingProgramError
        If the package that reads the format is not installed.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is no file; expected one that ends in {', '.join(READ_SUFFIXES)}")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > LIMIT:
                raise InputError(f"{path}: {size / 2**20:.0f} MiB; expected at most {LIMIT / 2**20:.0f} MiB")
            head = stream.read(16)
            stream.seek(0)
            file_sha256 = sha256_of_stream(stream)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # no number: refused as such
            return replace(_reader(path, head)(path), sha256=file_sha256)
    except (InputError, MissingProgramError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises what its bytes happen to lead to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is damaged or no weight file ({reason}); save or copy it again") from None


def write(
    path: str | Path,
    weights: Sequence[FloatArray] | Network,
    biases: Sequence[FloatArray | None] = (),
    hidden: str | Sequence[str] = "sigmoid",
    ceilings: float | Sequence[float] | None = None,
) -> None:
    """Write layers in the format that the file's ending names, for use in Keras, PyTorch or NumPy.

    Values that float32 holds exactly are written as float32, others as float64; `read` gives the same numbers back.
    Keras on JAX keeps float64 only with ``jax_enable_x64``.

    Parameters
    ----------
    weights
        One array (n_in, n_out) per layer; or a whole network, which brings all else.
    biases
        One array (n_out,) or None per layer; empty: no biases.
    hidden
        Unit of all hidden layers, or one for each.
    ceilings
        Largest activation of relu layers: one for all, or one for each.

    Raises
    ------
    InputError
        For another ending, layers that make no network, or that the format cannot hold.
    """
    path = Path(path)
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise InputError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not isinstance(weights, Network):
        layers, _ = with_ceilings(dense_layers(weights, biases, hidden), ceilings, None)
        weights = Network(layers)
    _WRITERS[suffix](path, weights)


def _reader(path: Path, head: bytes) -> Callable[[Path], TrainedWeights]:
    """Reader of the format that the first bytes of a file tell, or that an installed package adds for its ending."""
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        raise _pickle(path)
    if (added := reader_of_ending("reader", path, READ_SUFFIXES)) is not None:
        return partial(_read_added, added)
    if head[:2] == b"PK":
        with open_archive(path) as archive:
            names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            raise _pickle(path)
        if skops.SCHEMA in names:
            return skops.read
        return npz.read if all(name.endswith(".npy") for name in names) else keras.read_archive
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        return keras.read_hdf5
    # A line of JSON may stand before the arrays; the length of a safetensors header has zeros in it.
    if head.startswith(equinox.MAGIC) or (head[:1] == b"{" and b"\0" not in head[:8]):
        return equinox.read
    if path.suffix.lower() == ".onnx" or (head[:1] == b"\x08" and 0 < head[1] < 32 and head[2]):  # its version first
        return onnx.read
    # Eight bytes with the header's length, then the header, which is JSON.
    if head[8:9] == b"{":
        return safetensors.read
    if path.suffix.lower() in _PICKLES:
        raise _pickle(path)
    raise InputError(f"{path}: is no weight file that is known here; expected {', '.join(READ_SUFFIXES)}")


def _read_added(reader: Callable[[Path], object], path: Path) -> TrainedWeights:
    """What the reader of an installed package makes of a file."""
    trained = reader(path)
    if not isinstance(trained, TrainedWeights):
        raise InputError(f"{path}: its reader gives {type(trained).__name__}; expected TrainedWeights")
    return trained


def _pickle(path: Path) -> InputError:
    """Refusal of a pickle, with the lines that convert it."""
    if path.suffix.lower() in (".pkl", ".pickle", ".joblib"):
        lines = (
            f'import skops.io, numpy\nskops.io.dump(model, "{path.stem}.skops")  # of scikit-learn\n'
            'numpy.savez("net.npz", w0=..., b0=..., w1=..., b1=...)  # of anything else; w: (inputs, outputs)'
        )
    else:
        lines = (
            "import torch, safetensors.torch\n"
            f"safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True), {path.stem + '.safetensors'!r})"
        )
    return InputError(
        f"{path}: is a pickle, which could run code when loaded; convert it where it was trained, in Python:\n{lines}"
    )
