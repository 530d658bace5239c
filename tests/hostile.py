"""Readers on damaged and hostile files, in a child process: a traceback, a hang or a memory blow-up is an outcome."""

from __future__ import annotations

import atexit
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SECONDS = 20.0
BYTES = 2 * 2**30
EXAMPLES = int(os.environ.get("ANALOG_FHN_EXAMPLES", "200"))
"""Inputs a test: 10 000 and more on demand (`make hostile`)."""

# derandomized: the same inputs in each run, whatever the machine
hostile = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example,
                           HealthCheck.filter_too_much],
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a reader ended: it took the file, refused it, or did what it must not do."""

    kind: Literal["accepted", "refused", "traceback", "hang", "memory", "crash"]
    text: str = ""


counts: dict[str, Counter[str]] = {}
"""Outcomes by reader, of this process."""


def check(reader: str, name: str, content: bytes) -> Outcome:
    """Give the reader a file and assert that it takes or refuses it, with a message of a few lines."""
    outcome = read(reader, name, content)
    counts.setdefault(reader, Counter())[outcome.kind] += 1
    assert outcome.kind in ("accepted", "refused"), f"{reader} on {name}: {outcome.kind}\n{outcome.text}"
    if outcome.kind == "refused":
        assert outcome.text.strip(), "an empty message"
        assert len(outcome.text) <= 2000, f"{len(outcome.text)} characters: {outcome.text[:300]}"
    return outcome


def read(reader: str, name: str, content: bytes) -> Outcome:
    """Give `reader` ("module:function", called with a path) a file of this name and content."""
    return _child().read(reader, name, content)


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of the originals with bytes changed, cut out, put in twice, exchanged, or cut off."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        place = draw(st.integers(0, len(content) - 1))
        length = draw(st.integers(1, 16))
        match draw(st.sampled_from(["flip", "set", "field", "cut", "twice", "end", "insert"])):
            case "flip":
                content[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
            case "field":  # a size or an address, as binary formats have them
                place -= place % 8
                content[place : place + 8] = draw(st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\1" + b"\0" * 7]))
            case "cut":
                del content[place : place + length]
            case "twice":
                content[place:place] = content[place : place + length]
            case "end":
                del content[place:]
            case _:
                content[place:place] = draw(st.sampled_from([b"\xff" * 8, b"\0" * 8, b"9" * 400, b"-", b"nan", b"\n"]))
    return bytes(content)


class _Child:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hostile-")
        self._start()

    def _start(self) -> None:
        # no process of multiprocessing: tests beside this one count those
        self._connection, theirs = Pipe()
        script = f"import sys; sys.path[:] = {sys.path!r}; import hostile; hostile.serve(*sys.argv[1:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(theirs.fileno()), self._folder.name], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        assert self._connection.poll(60)
        self._connection.recv()

    def read(self, reader: str, name: str, content: bytes) -> Outcome:
        if self._process.poll() is not None:  # the last reader could not even be imported
            self.stop()
            self._start()
        self._connection.send(("prepare", reader, "", b""))  # imports are not part of a reader's time
        assert self._connection.poll(120)
        self._connection.recv()
        self._connection.send(("read", reader, name, content))
        try:
            if self._connection.poll(SECONDS):
                outcome = Outcome(*self._connection.recv())
                if outcome.kind != "memory":  # after that the child ends
                    return outcome
            else:
                outcome = Outcome("hang", f"no answer within {SECONDS:g} s")
        except EOFError:
            outcome = Outcome("crash", f"the process ended with {self._process.wait(5)}")
        self.stop()
        self._start()
        return outcome

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()


@cache
def _child() -> _Child:
    child = _Child()
    atexit.register(child.stop)
    return child


def serve(descriptor: str, folder: str) -> None:
    """Answer until the other side is gone; the child's part."""
    connection = Connection(int(descriptor))
    limit = 6 * BYTES  # a blow-up ends here rather than at the machine's memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection.send("ready")
    before = 0
    while True:
        try:
            command, reader, name, content = connection.recv()
        except EOFError:
            return
        module, function = reader.split(":")
        call = getattr(importlib.import_module(module), function)
        if command == "prepare":
            before = _peak()
            connection.send("prepared")
            continue
        path = Path(folder, name)
        path.write_bytes(content)
        answer = _call(call, path)
        path.unlink()
        if _peak() - before > BYTES:
            answer = ("memory", f"{(_peak() - before) / 2**30:.1f} GiB")
        connection.send(answer)
        if answer[0] == "memory":
            return


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _call(call: Any, path: Path) -> tuple[str, str]:
    from analog_fhn.errors import InputError, MissingProgramError, RunError

    try:
        call(path)
    except (InputError, MissingProgramError, RunError) as error:
        # a reader that turns every exception into a refusal would hide that memory ran out
        link: BaseException | None = error
        while link is not None:
            if isinstance(link, MemoryError):
                return "memory", f"MemoryError behind: {error}"
            link = link.__cause__ or link.__context__
        return "refused", str(error)
    except MemoryError:
        return "memory", traceback.format_exc()
    except BaseException:
        return "traceback", traceback.format_exc()
    return "accepted", ""
