"""Time, memory and disk of work, estimated before it begins: refused beyond the machine's, announced if long."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MINUTES = 600.0
"""Seconds above which work is announced."""
YEAR = 365.25 * 86400.0
"""Seconds above which work is refused."""

_UNLIMITED = 2.0**60  # what cgroups of the first kind say where there is no limit lies above
_FILES = {
    "": ("memory.max", "memory.current"),  # of the second kind
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}


@dataclass(frozen=True)
class Work:
    """Expected time, memory and disk of a piece of work, right within a small factor: orders of magnitude decide.

    Parameters
    ----------
    cause
        Names and values, as the user knows them, that make the work long or large; messages begin with it.
    seconds
        Wall time (s).
    memory
        Largest amount held at a time (bytes), beyond what the process holds before.
    disk
        Bytes that are written.
    folder
        Folder in which they are written; it need not exist yet.
    """

    cause: str
    seconds: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    folder: Path = Path()

    def beyond(self) -> str | None:
        """Why this is more than the machine has, or than anyone waits for; None: it is not."""
        memory, disk = available_memory(), free_disk(self.folder)
        if memory is not None and not self.memory <= memory:
            return f"{self.cause}: needs about {size(self.memory)} of memory; {size(memory)} are available"
        if disk is not None and not self.disk <= disk:
            return f"{self.cause}: needs about {size(self.disk)} of disk; {size(disk)} are free in {self.folder}"
        if not self.seconds <= YEAR:
            return f"{self.cause}: takes about {duration(self.seconds)}"
        return None

    def lasting(self) -> str | None:
        """Sentence on how long the work takes, if that is more than `MINUTES`; None: it is not."""
        return f"{self.cause}: takes about {duration(self.seconds)}" if self.seconds > MINUTES else None


def product(*factors: float) -> float:
    """Product of sizes of any magnitude; infinite where it is too large for a float."""
    try:
        return math.prod(float(factor) for factor in factors)
    except OverflowError:
        return math.inf


def available_memory() -> float | None:
    """Bytes that this process can still take: of the machine, its control groups and its own limit; None: not known."""
    return min((max(0.0, left) for left in _memory_left()), default=None)


def free_disk(folder: Path) -> float | None:
    """Bytes free where a folder is, or would be made; None: not known."""
    folder = folder.absolute()
    for place in (folder, *folder.parents):
        try:
            return float(shutil.disk_usage(place).free)
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def size(number: float) -> str:
    """Bytes as people read them: ``3.2 GB``."""
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("PB", 1e15)):
        if number < 1000.0 * scale:
            return f"{number / scale:.3g} {unit}"
    return f"{number / 1e18:.2g} EB"


def duration(seconds: float) -> str:
    """A time as people read it: ``25 minutes``."""
    for unit, scale, next_scale in (
        ("seconds", 1.0, 120.0), ("minutes", 60.0, 7200.0), ("hours", 3600.0, 172800.0), ("days", 86400.0, 2 * YEAR),
    ):  # fmt: skip
        if seconds < next_scale:
            return f"{_rounded(seconds / scale)} {unit}"
    return f"{_rounded(seconds / YEAR)} years"


def _rounded(number: float) -> str:
    return f"{float(f'{number:.2g}'):g}"


def _memory_left() -> Iterator[float]:
    machine = _of_the_machine()
    if machine is not None:
        yield machine
    with suppress(OSError):
        yield from of_control_groups(Path("/proc/self/cgroup").read_text(encoding="utf-8"), Path("/sys/fs/cgroup"))
    process = _of_the_process()
    if process is not None:
        yield process


def _of_the_machine() -> float | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * float(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass  # no Linux
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError):
        return None


def of_control_groups(text: str, root: Path) -> Iterator[float]:
    """Bytes that each control group which a process is in leaves it.

    Parameters
    ----------
    text
        The process's ``/proc/PID/cgroup``.
    root
        Folder where the groups are mounted.
    """
    for line in text.splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds not in _FILES:
            continue
        limit, used = _FILES[kinds]
        mounted = root / kinds
        group = mounted / path.lstrip("/")  # of a container's own view of the groups only some parents are there
        for place in (group, *group.parents):
            most, now = _number(place / limit), _number(place / used)
            if most is not None and now is not None and most < _UNLIMITED:
                yield most - now + _reclaimable(place)
            if place == mounted:
                break


def _number(file: Path) -> float | None:
    try:
        return float(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # of the second kind "max" says that there is no limit
        return None


def _reclaimable(group: Path) -> float:
    """Bytes of files that were read, which the system gives up when it needs memory."""
    try:
        rows = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return float(rows.get("inactive_file", 0.0))
    except (OSError, ValueError):
        return 0.0


def _of_the_process() -> float | None:
    """Bytes that the limit of the process's address space leaves; None: there is no limit."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        pages = float(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return limit - pages * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return None
