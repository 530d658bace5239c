"""Names of temporary files and folders, and the removal of those whose process was killed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDERS = "analog-fhn-"
_OWNER = re.compile(r"(?:[a-z]+-)?(\d+)-[0-9a-f]{16}")
_cleared: set[tuple[Path, str]] = set()


def name_of(prefix: str) -> str:
    """Name for a temporary file or folder of this process: the prefix, its process id and something random."""
    return f"{prefix}{os.getpid()}-{secrets.token_hex(8)}"


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Folder in the place for temporary files, removed at the end of the block; also all that killed runs left.

    Parameters
    ----------
    kind
        A word for its name.
    """
    parent = Path(tempfile.gettempdir())
    remove_leftovers(parent, _FOLDERS)
    folder = parent / name_of(f"{_FOLDERS}{kind}-")
    folder.mkdir(mode=0o700)
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Lock a file or folder while the block runs; false if another process, on whatever machine, has locked it."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:  # a file system without locks
            yield True
        else:
            yield True
    finally:
        os.close(descriptor)


def remove_leftovers(parent: Path, prefix: str) -> None:
    """Remove what killed processes of this user left in a folder, under names of `name_of`; once for a folder.

    A process that lives, here or (by its lock) on another machine or in another container, keeps what it has.
    """
    if (parent, prefix) in _cleared:
        return
    _cleared.add((parent, prefix))
    with suppress(OSError):
        for entry in os.scandir(parent):
            owner = _OWNER.fullmatch(entry.name.removeprefix(prefix)) if entry.name.startswith(prefix) else None
            if owner is not None and not _lives(int(owner[1])):
                with suppress(OSError):
                    _remove(Path(entry.path))


def _remove(path: Path) -> None:
    if path.lstat().st_uid != os.geteuid() or path.is_symlink():
        return
    with locked(path) as free:
        if not free:
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
