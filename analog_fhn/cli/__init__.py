"""Command line: `analog-fhn COMMAND --help`.

Exit status: 0 done, 1 a stated check failed, 2 the input was wrong, 3 a needed program is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from analog_fhn import __version__
from analog_fhn._support.files import together
from analog_fhn._support.home import libraries_at_home
from analog_fhn._support.interrupts import MESSAGE, STATUS, heard
from analog_fhn.cli import (
    allocate,
    arrays,
    bench,
    classify,
    combine,
    common,
    compare,
    console,
    corners,
    design,
    device,
    doctor,
    export,
    frontier,
    import_,
    rare,
    reconstruct,
    record,
    report,
    reproduce,
    sweep,
    train,
    trim,
)
from analog_fhn.cli.welcome import welcome
from analog_fhn.errors import InputError, MissingProgramError, RunError, brief


def _show_version(asked: bool) -> None:
    if asked:
        print(f"analog-fhn {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="analog-fhn",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def analog_fhn(
    context: typer.Context,
    quiet: common.QuietOption = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Show the version.", callback=_show_version)
    ] = False,
) -> None:
    """Trained neural networks as analog circuits of FitzHugh-Nagumo neurons."""
    if quiet:
        console.be_quiet(True)
    if context.invoked_subcommand is None:
        print(welcome())


_COMMANDS: dict[str, Callable[..., None]] = {
    "doctor": doctor.doctor,
    "train": train.train,
    "import": import_.import_,
    "classify": classify.classify,
    "compare": compare.compare,
    "design": design.design,
    "arrays": arrays.arrays,
    "export": export.export,
    "frontier": frontier.frontier,
    "sweep": sweep.sweep,
    "status": sweep.status,
    "allocate": allocate.allocate,
    "combine": combine.combine,
    "rare": rare.rare,
    "corners": corners.corners,
    "report": report.report,
    "bench": bench.bench,
    "trim": trim.trim,
    "record": record.record,
    "reconstruct": reconstruct.reconstruct,
    "reproduce": reproduce.reproduce,
}
for _name, _function in _COMMANDS.items():
    app.command(_name)(common.as_command(_function))
app.add_typer(device.app, name="device")


def main() -> None:
    """Run the command line; a user's mistake gives one message and a status, never a traceback."""
    # BrokenPipeError is left to Python: `analog-fhn ... | head` ends quietly.
    console.be_quiet(False)
    with heard() as interrupted:
        try:
            with libraries_at_home(), together():
                status = _status_of_app()
        except BaseException as error:
            if interrupted() or isinstance(error, KeyboardInterrupt):
                _stop(MESSAGE, STATUS)
            for kind, code in ((InputError, 2), (MissingProgramError, 3), (RunError, 1)):
                if isinstance(error, kind):
                    _stop(str(error), code)
            if isinstance(error, MemoryError):
                _stop(f"out of memory ({str(error) or 'no size is told'}); what was written before is kept", 1)
            raise
        # Typer turns Ctrl-C into this status.
        if interrupted() or status == STATUS:
            _stop(MESSAGE, STATUS)
        sys.exit(status)


def _status_of_app() -> int | str | None:
    try:
        app(prog_name="analog-fhn")
    except SystemExit as end:
        return end.code
    return 0


def _stop(message: str, status: int) -> NoReturn:
    print(f"analog-fhn: {brief(message)}", file=sys.stderr)
    sys.exit(status)
