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
    check_board,
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


_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "doctor": (doctor.doctor, "Is everything installed, and do the simulators agree?"),
    "train": (train.train, "Make a network, plain or with the circuit inside."),
    "import": (import_.import_, "Take a network that was trained elsewhere."),
    "classify": (classify.classify, "How accurate are FHN neurons, or one chip?"),
    "bench": (bench.bench, "A page with knobs; `bench plan`: measure a board."),
    "compare": (compare.compare, "Where is accuracy lost, stage by stage?"),
    "design": (design.design, "Which parts, and what may be wrong with them?"),
    "arrays": (arrays.arrays, "What are the arrays made of, and which weights remain?"),
    "frontier": (frontier.frontier, "How long must an answer take?"),
    "export": (export.export, "Netlists for plain ngspice, bill of materials."),
    "check-board": (check_board.check_board, "Is the schematic its netlist?"),
    "trim": (trim.trim, "Can this chip be repaired?"),
    "sweep": (sweep.sweep, "How many chips of a batch will pass?"),
    "status": (sweep.status, "How far is the run?"),
    "report": (report.report, "A run on one page."),
    "allocate": (allocate.allocate, "The cheapest parts that still meet a yield."),
    "combine": (combine.combine, "Yield at circuit level, from few simulated chips."),
    "rare": (rare.rare, "How rare is a chip that fails; the worst case."),
    "corners": (corners.corners, "Do the chips work at every temperature and supply?"),
    "record": (record.record, "The voltage of a known neuron, to practise on."),
    "reconstruct": (reconstruct.reconstruct, "A neuron's dynamics from its recording."),
    "reproduce": (reproduce.reproduce, "The paper's figures and tables."),
}
"""Functions, and their lines in the list of `--help`, short enough for a terminal of 80 columns."""
for _name, (_function, _line) in _COMMANDS.items():
    app.command(_name, short_help=_line, cls=bench.BenchCommand if _name == "bench" else None)(
        common.as_command(_function)
    )
app.add_typer(device.app, name="device", short_help="A device preset from your own measurements.")


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
