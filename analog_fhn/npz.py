"""Named arrays of the user's `.npz` files, read without unpickling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from analog_fhn.errors import InputError

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@contextmanager
def open_npz(path: Path, what: str) -> Iterator[NpzFile]:
    """Open an `.npz` file; arrays are read from disk when they are asked for.

    Parameters
    ----------
    what
        What the file should hold, for the messages: "a network".

    Raises
    ------
    InputError
        If the file is missing, is no `.npz`, is damaged or holds pickled objects, at opening or when an array is read.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(4) not in _ZIP:
                raise InputError(f"{path}: is no .npz file; expected one that holds {what}")
            stream.seek(0)
            with NpzFile(stream, allow_pickle=False) as file:
                yield file
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged archive raises what its bytes happen to lead to
        if "pickle" in str(error).lower():
            raise InputError(
                f"{path}: holds pickled Python objects, which could run code when loaded; save plain numeric arrays"
            ) from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is damaged ({reason}); expected a .npz file that holds {what}") from None


def read_npz(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz` file; arguments and errors as for `open_npz`."""
    with open_npz(path, what) as file:
        return {name: file[name] for name in file.files}
