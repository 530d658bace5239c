"""Writes every output file: whole or not at all, and elsewhere rather than nowhere.

The content is made in memory, written to a temporary file beside its place, flushed to the disk and renamed. Whatever
ends this (a full disk, a kill), the file that was there before stays as it was.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analog_fhn._support.temporary import locked, name_of, remove_leftovers
from analog_fhn.errors import InputError, RunError

TEMPORARY = ".analog-fhn-"
"""First letters of the names of temporary files and folders."""

Content = bytes | memoryview

# The user named a place where nothing can be written; everything else happened while it was written.
_MISTAKES = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
    errno.EEXIST,
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NAMED = 4  # files that a message names


@contextmanager
def new_file(path: str | Path) -> Iterator[io.BytesIO]:
    """Binary file to write, which appears at `path` when the block ends without an error.

    A symbolic link at `path` is replaced; what it points to is left alone. Devices and pipes are written to. A file
    that was there hands on its permissions and, where that is allowed, its owner.

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
    _put({Path(path): buffer.getbuffer()})


@contextmanager
def new_text(path: str | Path, encoding: str = "utf-8") -> Iterator[io.StringIO]:
    """Text file to write, as `new_file`; line ends are written as they stand in the text."""
    buffer = io.StringIO(newline="")
    yield buffer
    write_text(path, buffer.getvalue(), encoding)


def write_text(path: str | Path, text: str, encoding: str = "utf-8") -> None:
    """Write a whole text; errors as for `new_file`."""
    _put({Path(path): text.encode(encoding)})


def write_set(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that belong together into a folder: all, or where one cannot be written, none of them.

    Parameters
    ----------
    contents
        Content by name. Errors as for `new_file`.
    """
    _put({folder / name: content for name, content in contents.items()})


class CsvTable:
    """Rows of a CSV file; text that a spreadsheet would take for a formula is written with an apostrophe before it."""

    def __init__(self, file: io.StringIO, lineterminator: str = "\r\n") -> None:
        self._writer = csv.writer(file, lineterminator=lineterminator)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([_harmless(cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


@contextmanager
def new_table(path: str | Path, lineterminator: str = "\r\n") -> Iterator[CsvTable]:
    """CSV file to write, as `new_file`."""
    with new_text(path) as file:
        yield CsvTable(file, lineterminator)


def write_records(path: str | Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file of records under the names of their fields, empty where one lacks a field; as `new_file`."""
    names = list(dict.fromkeys(name for record in records for name in record))
    with new_table(path) as table:
        table.writerow(names)
        table.writerows([record.get(name, "") for name in names] for record in records)


@contextmanager
def together() -> Iterator[None]:
    """Write several files: one that cannot be written does not keep the others from it.

    Raises
    ------
    InputError, RunError
        At the end of the block, one for all files that could not be written; as for `new_file`. Where the block
        itself ends with an error, its message stands first.
    """
    if _block.get() is not None:  # the outer block says it for all
        yield
        return
    block = _Block()
    token = _block.set(block)
    try:
        yield
    except (RuntimeError, InputError) as error:
        if block.failures:
            error.args = (f"{error}; also: {_text(block.failures.values())}", *error.args[1:])
        raise
    finally:
        _block.reset(token)
    if block.failures:
        raise _error(block.failures.values())


@contextmanager
def at_once() -> Iterator[None]:
    """Within `together`: a file that cannot be written ends the block at once, because what follows needs it."""
    token = _block.set(None)
    try:
        yield
    finally:
        _block.reset(token)


def has_failed(path: str | Path) -> bool:
    """Whether this file could not be written, in the block of `together` that this is called in."""
    block = _block.get()
    return block is not None and any(Path(path) in paths for paths in block.failures)


@dataclass(frozen=True)
class _Failure:
    """Files that belong together and could not be written.

    Parameters
    ----------
    at
        The file at which writing failed.
    error
        Why it failed.
    paths
        All of the files.
    rescued
        Files elsewhere that hold their contents.
    """

    at: Path
    error: OSError
    paths: tuple[Path, ...]
    rescued: tuple[Path, ...]


@dataclass
class _Block:
    """A block of `together`: its failures by their files, the folder that holds rescued contents, and where each is."""

    failures: dict[tuple[Path, ...], _Failure] = field(default_factory=dict)
    shelter: Path | None = None
    rescued: dict[Path, Path] = field(default_factory=dict)


_block: ContextVar[_Block | None] = ContextVar("block", default=None)


def _put(contents: Mapping[Path, Content]) -> None:
    """Put contents in their places, or rescue them and raise, or leave that to the block of `together`."""
    block = _block.get() or _Block()
    paths = tuple(contents)
    try:
        _replace(contents)
    except _PlaceError as place:
        rescued = tuple(filter(None, (_rescue(path, content, block) for path, content in contents.items())))
        failure = _Failure(place.path, place.error, paths, rescued)
        if _block.get() is None:
            raise _error([failure]) from None
        block.failures[paths] = failure
    else:
        # It may have failed before: a table that grows is written again and again.
        block.failures.pop(paths, None)


class _PlaceError(Exception):
    def __init__(self, path: Path, error: OSError) -> None:
        self.path, self.error = path, error


def _replace(contents: Mapping[Path, Content]) -> None:
    """Write every content to a temporary file, and when all are written, put them in their places."""
    temporaries: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            _make_folder(path.parent)
            if is_stream(path):
                with path.open("ab") as stream:  # standard output may be a file that has something in it
                    stream.write(content)
                continue
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            temporaries[path] = path.with_name(name_of(TEMPORARY))
            _write_temporary(path, temporaries[path], content)
        for path, temporary in temporaries.items():
            temporary.replace(path)
    except OSError as error:
        raise _PlaceError(path, error) from None
    finally:
        for temporary in temporaries.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None


def is_stream(path: Path) -> bool:
    """Whether it is a device or pipe; names under /dev and /proc are, also where they lead to a file."""
    parts = path.absolute().parts[1:]
    if parts[:1] == ("proc",) or (parts[:1] == ("dev",) and parts[1:2] != ("shm",)):
        return True
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _write_temporary(path: Path, temporary: Path, content: Content) -> None:
    remove_leftovers(path.parent, TEMPORARY)
    try:
        before: os.stat_result | None = path.lstat()
    except FileNotFoundError:
        before = None
    if before is not None and stat.S_ISLNK(before.st_mode):
        before = None
    if before is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with temporary.open("xb") as stream, locked(temporary):
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    if before is not None:
        temporary.chmod(stat.S_IMODE(before.st_mode) & 0o777)
        if before.st_uid != os.geteuid():
            with suppress(OSError):
                os.chown(temporary, before.st_uid, before.st_gid)


def _rescue(path: Path, content: Content, block: _Block) -> Path | None:
    """Write the content to a file where there is still room, and return its path; None: there is room nowhere."""
    for shelter in _shelters(block):
        target = shelter / path.name
        if target in (place for other, place in block.rescued.items() if other != path):
            target = shelter / name_of(f"{path.name}-")
        try:
            with target.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            with suppress(OSError):
                target.unlink(missing_ok=True)
                shelter.rmdir()
            continue
        block.shelter = shelter
        block.rescued[path] = target
        return target
    return None


def _shelters(block: _Block) -> Iterator[Path]:
    """Folders that may hold what cannot be written elsewhere: the one taken before, then new ones."""
    if block.shelter is not None:
        yield block.shelter
    parents = []
    with suppress(OSError):  # no folder for temporary files that can be written
        parents.append(tempfile.gettempdir())
    with suppress(RuntimeError):  # no home
        parents.append(str(Path.home()))
    for parent in dict.fromkeys([*parents, "/dev/shm"]):
        try:
            shelter = tempfile.mkdtemp(prefix="analog-fhn-kept-", dir=parent)
        except OSError:
            continue
        yield Path(shelter)


def _error(failures: Iterable[_Failure]) -> InputError | RunError:
    """Error for files that could not be written: the user's if all of their places are, else the machine's."""
    failures = list(failures)
    mistake = all(failure.error.errno in _MISTAKES for failure in failures)
    return (InputError if mistake else RunError)(_text(failures))


def _text(failures: Iterable[_Failure]) -> str:
    """Message in one line; files of a folder with one reason and one place of rescue share a sentence."""
    groups: dict[tuple[object, ...], list[_Failure]] = {}
    for failure in failures:
        shelter = {path.parent for path in failure.rescued}
        alone = failure.paths if len(failure.paths) > 1 else ()
        key = failure.at.parent, _reason(failure), frozenset(shelter), alone
        groups.setdefault(key, []).append(failure)
    return "; ".join(map(_group_text, groups.values()))


def _group_text(group: list[_Failure]) -> str:
    first = group[0]
    paths = [path for failure in group for path in failure.paths]
    rescued = [path for failure in group for path in failure.rescued]
    there = any(os.path.lexists(path) for path in paths)
    if len(paths) == 1:
        before = ", the file that was there is as it was" if there else ""
        content = f"; its content is kept in {rescued[0]}" if rescued else ""
    else:
        before = ", files that were there are as they were" if there else ""
        content = f"; they are kept in {rescued[0].parent}" if len(rescued) == len(paths) else ""
    what = str(first.at) if len(group) == 1 else f"{first.at.parent}: {_listed([f.at.name for f in group])}"
    others = f", and so none of the {len(paths)} files that belong together" if len(first.paths) > 1 else ""
    return f"{what}: cannot be written ({_reason(first)}){others}{before}{content}"


def _reason(failure: _Failure) -> str:
    return failure.error.strerror or str(failure.error)


def _listed(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} more"


def _harmless(cell: Any) -> Any:
    """The cell, with an apostrophe before a text that a spreadsheet would take for a formula."""
    if isinstance(cell, str) and len(cell) > 1 and cell.startswith(_FORMULA):  # a sign alone is no formula
        try:
            float(cell)
        except ValueError:
            return f"'{cell}"
    return cell
