"""Command line: `analog-fhn COMMAND --help`.

Exit status: 0 done, 1 a stated check failed, 2 the input was wrong, 3 a needed program is missing.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from analog_fhn._support.files import together
from analog_fhn._support.home import libraries_at_home
from analog_fhn._support.interrupts import MESSAGE, STATUS, heard
from analog_fhn.cli import (
    allocate,
    arrays,
    bench,
    classify,
    combine,
    compare,
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
from analog_fhn.errors import InputError, MissingProgramError, RunError, brief

app = typer.Typer(
    name="analog-fhn",
    help="Trained neural networks as analog circuits of FitzHugh-Nagumo neurons.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("doctor")(doctor.doctor)
app.command("train")(train.train)
app.command("import")(import_.import_)
app.command("classify")(classify.classify)
app.command("compare")(compare.compare)
app.command("design")(design.design)
app.add_typer(device.app, name="device")
app.command("arrays")(arrays.arrays)
app.command("export")(export.export)
app.command("frontier")(frontier.frontier)
app.command("sweep")(sweep.sweep)
app.command("status")(sweep.status)
app.command("allocate")(allocate.allocate)
app.command("combine")(combine.combine)
app.command("rare")(rare.rare)
app.command("corners")(corners.corners)
app.command("report")(report.report)
app.command("bench")(bench.bench)
app.command("trim")(trim.trim)
app.command("record")(record.record)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("reproduce")(reproduce.reproduce)


def main() -> None:
    """Run the command line; a user's mistake gives one message and a status, never a traceback."""
    # BrokenPipeError is left to Python: `analog-fhn ... | head` ends quietly.
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
        app()
    except SystemExit as end:
        return end.code
    return 0


def _stop(message: str, status: int) -> NoReturn:
    print(f"analog-fhn: {brief(message)}", file=sys.stderr)
    sys.exit(status)
