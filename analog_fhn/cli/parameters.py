"""The options that several commands have, as Typer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analog_fhn.cli import outputs


def _check_json(target: str | None) -> str | None:
    if target not in (None, "-"):
        outputs.writable(Path(str(target)))
    return target


JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE|-", help="Write the result as JSON; '-' is pure stdout.", callback=_check_json
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the MNIST files (else ANALOG_FHN_DATA, else cache)."),
]
DatasetOption = Annotated[
    str, typer.Option("--dataset", metavar="mnist|digits|PATH", help="Data set, or your own .npz or .csv file.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
ImagesOption = Annotated[int | None, typer.Option("--images", min=1, help="Number of images (default: all).")]
StratifiedOption = Annotated[
    bool,
    typer.Option("--stratified", help="Draw the images so that each class has its share, instead of the first ones."),
]
ImagesSeedOption = Annotated[
    int | None, typer.Option("--images-seed", min=0, help="Seed of the draw of --stratified (default: 0).")
]
NetworkArgument = Annotated[Path, typer.Argument(metavar="NETWORK.npz", help="Network file.")]
SplitOption = Annotated[Literal["train", "test"], typer.Option("--split", help="Which images.")]
ReadoutOption = Annotated[
    Literal["vote", "mean"] | None, typer.Option("--readout", help="Override the network's readout.")
]
RawOption = Annotated[bool, typer.Option("--raw", help="Feed x itself to the output layer (the paper): no recentring.")]
GammaOption = Annotated[float | None, typer.Option("--gamma", help="Override gamma.")]
AOption = Annotated[float | None, typer.Option("--a", help="Override a.")]
EpsOption = Annotated[float | None, typer.Option("--eps", help="Override eps.")]
SlopeOption = Annotated[float | None, typer.Option("--slope", help="Override the slope of the tanh.")]
SettleOption = Annotated[float | None, typer.Option("--settle", help="Override the settling time (T).")]
ControlOption = Annotated[float | None, typer.Option("--control", help="Override the control window (T).")]
ProtocolOption = Annotated[
    Literal["paper"] | None, typer.Option("--protocol", help="paper: slope 1, raw, vote, settle 1000, control 1000.")
]
TechnologyOption = Annotated[
    str | None, typer.Option("--technology", metavar="NAME|PATH", help="Technology: a name (discrete) or a YAML file.")
]
NeededTechnologyOption = Annotated[str, typer.Option("--technology", metavar="NAME|PATH", help="Technology.")]
ChipOption = Annotated[
    int | None, typer.Option("--chip", metavar="SEED", min=0, help="Chip seed (default: the nominal chip).")
]
TrimOption = Annotated[
    Path | None,
    typer.Option(
        "--trim", metavar="FILE", help="The chip as `analog-fhn trim` left it (trim.npz); it names technology and seed."
    ),
]
ShiftOption = Annotated[
    Path | None,
    typer.Option(
        "--shift",
        metavar="FILE",
        help="Move the chip's normal parts, or those of the nominal chip, as in `analog-fhn rare` (worst_case.npz).",
    ),
]
SpecificationOption = Annotated[
    float, typer.Option("--specification", metavar="ACCURACY", help="Accuracy (fraction) that a chip must reach.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Worker processes (default: one per usable core).")
]
TablesOption = Annotated[
    Path | None,
    typer.Option(
        "--tables",
        metavar="DIR",
        help="Where response tables are kept (default: the user's cache; those of direct are not kept).",
    ),
]
ErrorsOption = Annotated[
    str | None,
    typer.Option(
        "--errors",
        metavar="GROUP,...|none",
        help="Only these errors: resistor, capacitor, opamp, multiplier, tanh_pair, array (programming, faults, "
        "read_noise, drift, array_temperature, nonlinearity, wires), amplifier (amplifier_offset, "
        "amplifier_gain), hold, dac, adc.",
    ),
]
TemperatureOption = Annotated[
    float | None, typer.Option("--temperature", metavar="KELVIN", help="Override the technology's temperature.")
]
SupplyOption = Annotated[
    float | None, typer.Option("--supply", metavar="FACTOR", help="Supplies relative to their nominal values.")
]
NoiseOption = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="intrinsic|DENSITY",
        help="White current noise at both summing nodes: that of the parts, or a density in A/sqrt(Hz).",
    ),
]
YesOption = Annotated[
    bool,
    typer.Option("--yes", help="Begin even what is expected to take more than this machine has, or more than a year."),
]
NoiseSeedOption = Annotated[
    int | None, typer.Option("--noise-seed", min=0, max=2**63 - 1, help="Seed of the noise (default: 0).")
]
