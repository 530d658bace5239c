"""Ctrl-C at moments that a test can choose: each script sends SIGINT to itself, or is sent it when it says so."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

MESSAGE = "analog-fhn: interrupted; what was written before is kept\n"
START = """
import os, signal, sys, time, weakref
from analog_fhn import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # a child may inherit that it is ignored

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
"""
END = """
cli.app = lambda **_: command()
cli.main()
"""
MOMENTS = {
    "in a loop": "def command():\n    interrupt()",
    "in __del__": """
class Thing:
    def __del__(self):
        interrupt()
def command():
    Thing()
    time.sleep(20)
""",
    "in the callback of a weak reference": """
class Thing:
    pass
def command():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: interrupt())
    del thing
    time.sleep(20)
""",
    "in an import that makes another error of it": """
def command():
    try:
        interrupt()
    except KeyboardInterrupt:
        raise ImportError("the extension module could not be loaded") from None
""",
    "in an import that ends as a refusal": """
def command():
    from analog_fhn.errors import MissingProgramError
    try:
        interrupt()
    except KeyboardInterrupt:
        raise MissingProgramError("not installed") from None
""",
}


def python(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupt_is_one_message(moment: str) -> None:
    process = python(START + MOMENTS[moment] + END)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, MESSAGE)


def test_interrupt_while_python_ends_is_quiet() -> None:
    process = python(
        START + "import atexit\nfrom analog_fhn.__main__ import main\n"
        "atexit.register(lambda: (print('ending', flush=True), time.sleep(20)))\n"
        "sys.argv = ['analog-fhn', '--help']\nmain()"
    )
    assert process.stdout is not None
    while "ending" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (-signal.SIGINT, "")


def test_interrupt_while_the_command_line_is_loaded_is_one_message() -> None:
    process = python(
        START
        + "sys.modules['analog_fhn.cli'] = None\n"
        + """
import builtins
from analog_fhn.__main__ import main
load = builtins.__import__
def loading(name, *rest):
    if name == "analog_fhn.cli":
        interrupt()
    return load(name, *rest)
builtins.__import__ = loading
main()
"""
    )
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, MESSAGE)


def test_other_errors_in_a_finalizer_are_still_said() -> None:
    process = python(
        START
        + """
class Thing:
    def __del__(self):
        raise ZeroDivisionError
def command():
    Thing()
"""
        + END
    )
    _, err = process.communicate(timeout=30)
    assert "ZeroDivisionError" in err


def test_handlers_are_afterwards_as_they_were() -> None:
    process = python(
        START
        + """
def command():
    sys.exit(0)
cli.app = lambda **_: command()
before = signal.getsignal(signal.SIGINT), sys.unraisablehook
try:
    cli.main()
except SystemExit:
    pass
print((signal.getsignal(signal.SIGINT), sys.unraisablehook) == before)
"""
    )
    out, _ = process.communicate(timeout=30)
    assert out == "True\n"
