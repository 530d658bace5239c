"""Writes every output file: whole or not at all, and elsewhere rather than nowhere.

The content is made in memory, written to a temporary file beside its place, flushed to the disk and renamed. Whatever
ends this (a full disk, a kill), the file that was there before stays as it was.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from analog_fhn.errors import InputError, RunError

TEMPORARY = ".analog-fhn-"
"""First letters of the names of temporary files and folders."""

# The user named a place where nothing can be written; everything else happened while it was written.
_MISTAKES = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_failures: ContextVar[list[_Failure] | None] = ContextVar("failures", default=None)


@contextmanager
def new_file(path: str | Path) -> Iterator[io.BytesIO]:
    """Binary file to write, which appears at `path` when the block ends without an error.

    A symbolic link at `path` is replaced; what it points to is left alone. Devices and pipes are written to.

    Raises
    ------
    InputError
        If `path` is no place where a file can be written.
    RunError
        If the disk is full, or fails. Where another folder can hold the file, it is written there, and the message
        names it.
    """
    buffer = io.BytesIO()
    yield buffer
    _put(Path(path), buffer.getbuffer())


@contextmanager
def new_text(path: str | Path, encoding: str = "utf-8") -> Iterator[io.StringIO]:
    """As `new_file`, for text; line ends are written as they are given."""
    buffer = io.StringIO(newline="")
    yield buffer
    write_text(path, buffer.getvalue(), encoding)


def write_text(path: str | Path, text: str, encoding: str = "utf-8") -> None:
    """Write a whole text; errors as for `new_file`."""
    _put(Path(path), text.encode(encoding))


class Table:
    """Rows of a CSV file; text that a spreadsheet would take for a formula is written with an apostrophe before it."""

    def __init__(self, file: io.StringIO) -> None:
        self._writer = csv.writer(file)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([_harmless(cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


@contextmanager
def new_table(path: str | Path) -> Iterator[Table]:
    """CSV file to write, as `new_file`."""
    with new_text(path) as file:
        yield Table(file)


@contextmanager
def together() -> Iterator[None]:
    """Write several files: one that cannot be written does not keep the others from it.

    Raises
    ------
    InputError, RunError
        At the end of the block, one for all files that could not be written; as for `new_file`. Also where the block
        itself ends with an InputError or a RunError: its message stands first.
    """
    if _failures.get() is not None:  # an outer block tells of all
        yield
        return
    failures: list[_Failure] = []
    token = _failures.set(failures)
    try:
        yield
    except (InputError, RunError) as error:
        if failures:
            raise type(error)(f"{error}; also: {_told(failures)}") from None
        raise
    finally:
        _failures.reset(token)
    if failures:
        raise _error(failures)


class _Failure:
    def __init__(self, path: Path, error: OSError, rescued: Path | None) -> None:
        self.path, self.error, self.rescued = path, error, rescued


def _error(failures: list[_Failure]) -> InputError | RunError:
    mistake = all(failure.error.errno in _MISTAKES for failure in failures)
    return (InputError if mistake else RunError)(_told(failures))


def _told(failures: list[_Failure]) -> str:
    parts = []
    for failure in failures:
        reason = failure.error.strerror or str(failure.error)
        before = ", the file that was there is as it was" if os.path.lexists(failure.path) else ""
        kept = "" if failure.rescued is None else f"; its content is kept in {failure.rescued}"
        parts.append(f"{failure.path}: cannot be written ({reason}){before}{kept}")
    return "; ".join(parts)


def _put(path: Path, content: bytes | memoryview) -> None:
    try:
        _replace(path, content)
    except OSError as error:
        failure = _Failure(path, error, _rescue(path, content))
        failures = _failures.get()
        if failures is None:
            raise _error([failure]) from None
        failures.append(failure)


def _replace(path: Path, content: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = None
    with suppress(FileNotFoundError):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or path.absolute().parts[1:2] in (("dev",), ("proc",)):
            with path.open("wb") as stream:
                stream.write(content)
            return
        mode = stat.S_IMODE(status.st_mode)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _rescue(path: Path, content: bytes | memoryview) -> Path | None:
    """Write the content where there is still room; None: nowhere."""
    for folder in dict.fromkeys((tempfile.gettempdir(), os.environ.get("HOME", "/"), "/dev/shm")):
        target = Path(folder, f"analog-fhn-kept-{secrets.token_hex(4)}", path.name)
        try:
            target.parent.mkdir()
            target.write_bytes(content)
        except OSError:
            with suppress(OSError):
                target.unlink(missing_ok=True)
                target.parent.rmdir()
            continue
        return target
    return None


def _harmless(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        try:
            float(cell)
        except ValueError:
            return f"'{cell}"
    return cell
