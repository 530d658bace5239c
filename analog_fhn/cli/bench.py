"""`analog-fhn bench`: a page with knobs, on this machine alone; and the sub-commands that measure a board."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from analog_fhn.cli import bench_board, console, inputs, parameters
from analog_fhn.cli.common import as_command

SUBCOMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "plan": (bench_board.plan, "What to measure on a board, and a table to fill in."),
    "read": (bench_board.read, "Fill in the table from an oscilloscope's recordings."),
    "diagnose": (bench_board.diagnose, "Which part do the measurements point to?"),
}
"""Functions of the sub-commands, and their lines in the help."""


def network_or_subcommand(incomplete: str) -> list[str]:
    """Sub-commands that begin so; where none does, shells complete files."""
    return [name for name in SUBCOMMANDS if name.startswith(incomplete)] if incomplete else []


@cache
def _subcommands() -> Any:
    group = typer.Typer(rich_markup_mode=None)
    for name, (function, line) in SUBCOMMANDS.items():
        group.command(name, short_help=line)(as_command(function))
    return typer.main.get_command(group)


class BenchCommand(TyperCommand):
    """The page, unless the first argument is the name of a sub-command."""

    @property
    def subcommands(self) -> Any:
        """Sub-commands by name."""
        return _subcommands().commands

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Context of the page or of the sub-command."""
        if args and args[0] in SUBCOMMANDS:
            name = args[0]
            if Path(name).is_file() and not extra.get("resilient_parsing"):
                console.note(f"`bench {name}` is a command; the page of the network file {name}: bench ./{name}")
            return self.subcommands[name].make_context(f"{info_name} {name}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options of the page, then the sub-commands."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands that measure a board (a network file of such a name: ./plan)"):
            formatter.write_dl([(name, line) for name, (_, line) in SUBCOMMANDS.items()])


def bench(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="NETWORK.npz", help="Network file, or a sub-command.", autocompletion=network_or_subcommand
        ),
    ],
    dataset: parameters.DatasetOption,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port that the page is at (default: any that is free).")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or only print its address.")
    ] = True,
    data: parameters.DataOption = None,
) -> None:
    """Turn knobs on a page: waveforms, arrays, one image's way, accuracy of a chip, yield; until Ctrl-C.

    `bench plan`, `bench read` and `bench diagnose` are commands of their own: they measure a board.
    """
    from analog_fhn.bench.bench import Bench
    from analog_fhn.bench.server import listening, serve

    listening(port).close()  # before images are loaded
    net = inputs.load_network(network)
    images = inputs.load_images(dataset, "test", data, None, net)
    names = {"network": str(network), "dataset": dataset, "data": None if data is None else str(Path(data))}
    serve(Bench(net, images, names), port, browser=browser, say=lambda address: console.say(address, None))
