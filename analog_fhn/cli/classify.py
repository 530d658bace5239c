"""`analog-fhn classify`: images through a network with FHN neurons."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analog_fhn._support.files import new_table
from analog_fhn._support.interrupts import keeping
from analog_fhn.cli import circuits, console, costs, option_values, outputs, parameters
from analog_fhn.cli.completion import backend_names
from analog_fhn.cli.groups import ImageOptions, LoadsNetwork, NeuronOptions, TrimmableChipOptions
from analog_fhn.cli.options import as_written, options_set, takes_option_groups
from analog_fhn.errors import InputError, shown

if TYPE_CHECKING:
    from analog_fhn.backends.base import Backend
    from analog_fhn.backends.table.waveforms import TableQuality
    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.data import Dataset
    from analog_fhn.inference import Result
    from analog_fhn.network import Network
    from analog_fhn.noise import Noise


_FEW_PERIODS = 50.0  # T: in shorter windows the ends of a mean count


def _check_backend(name: str) -> str:
    if name not in (names := backend_names()):
        raise InputError(f"--backend {shown(name)}: expected one of {', '.join(names)}")
    return name


@dataclass(frozen=True)
class EngineOptions:
    """What integrates the neurons."""

    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            metavar="direct|reference|brian|spice|vacask|twin|NAME",
            help="What integrates the neurons; twin: reconstructions of recorded neurons; NAME: of a package that adds "
            "one.",
            callback=_check_backend,
        ),
    ] = "direct"
    twin: Annotated[
        list[Path] | None,
        typer.Option(
            "--twin",
            metavar="FILE.npz",
            help="Of `analog-fhn reconstruct`; given several times, hidden neurons take turns (--backend twin).",
        ),
    ] = None
    activation: Annotated[
        Literal["rate", "voltage", "curve"] | None,
        typer.Option(
            "--activation",
            help="Of twins that a current drives: spikes in the window (default), mean voltage, or measured f-I curve.",
        ),
    ] = None

    spread: Annotated[
        float | None,
        typer.Option(
            "--spread",
            metavar="SHARE",
            help="Of two or more twins that a current drives: hidden neurons are drawn around the first, with this "
            "share of the spread of their thresholds and gains (1: all of it).",
        ),
    ] = None
    spread_seed: Annotated[
        int | None, typer.Option("--spread-seed", metavar="N", min=0, help="Of this draw (default: 0).")
    ] = None

    def load(self) -> str | Backend:
        """Name of the backend, or the twins of the files."""
        if self.backend != "twin":
            for option, value in options_set(self).items():
                if option != "--backend":
                    text = as_written(option, value)
                    raise option_values.foreign(
                        option, text, f"--backend {self.backend}", {"--backend twin": (option,)}
                    )
            return self.backend
        if self.spread_seed is not None and self.spread is None:
            raise InputError(f"--spread-seed {self.spread_seed}: nothing is drawn without --spread SHARE")
        if not self.twin:
            raise InputError("--backend twin: --twin FILE.npz is missing, a file of `analog-fhn reconstruct`")
        from analog_fhn.reconstruct.twin_files import load_twins

        return load_twins(self.twin, self.activation, self.spread, self.spread_seed or 0)

    def settings(self, backend: str | Backend) -> dict[str, Any]:
        """What decided the neurons, for JSON."""
        drawn = getattr(backend, "spread", None)
        return {
            "backend": self.backend, "twins": [str(path) for path in self.twin or []], "activation": self.activation,
            "spread": None if drawn is None else asdict(drawn),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(LoadsNetwork):
    """How the network is run; None: as its file says."""

    readout: parameters.ReadoutOption = None
    raw: parameters.RawOption = False
    protocol: parameters.ProtocolOption = None
    neuron: NeuronOptions


@dataclass(frozen=True)
class TableOptions:
    """Response table between the backend and the images."""

    table: Annotated[
        int | None,
        typer.Option(
            "--table",
            metavar="N",
            help="Have the backend measure every neuron at N drives once, and interpolate for the images "
            "(twin: always, at 33 drives where none is given).",
        ),
    ] = None
    tables: parameters.TablesOption = None

    def drives(self, backend: str, engine: str | Backend) -> int | None:
        """Drives of the table; None: there is none. Twins always have one, which those that a current drives make."""
        from analog_fhn.reconstruct.driven.backend import LivingNeurons

        if isinstance(engine, LivingNeurons) and self.table is not None:
            raise InputError(
                f"--table {self.table}: twins that a current drives are run at currents of their own; leave it out"
            )
        if backend != "twin" or self.table is not None or isinstance(engine, LivingNeurons):
            return self.table
        from analog_fhn.reconstruct.twin import TABLE

        return TABLE

    def folder(self, drives: int | None, backend: str) -> Path | None:
        """Where a table of so many drives is stored; None: nowhere."""
        return outputs.tables_folder(drives, self.tables, backend)


@dataclass(frozen=True)
class NoiseOptions:
    """White noise of the neurons."""

    noise: parameters.NoiseOption = None
    noise_seed: parameters.NoiseSeedOption = None

    def build(self, chip: ManufacturedChip | None) -> tuple[Noise, ...] | None:
        """Noise of each hidden layer; None: there is none."""
        from analog_fhn.noise import chip_noise

        if self.noise is None:
            if self.noise_seed is not None:
                raise InputError(
                    f"--noise-seed {self.noise_seed}: there is no noise without --noise intrinsic or --noise DENSITY"
                )
            return None
        if chip is None:
            raise InputError(
                f"--noise {self.noise}: noise in physical units needs a technology (--technology discrete)"
            )
        density = None if self.noise == "intrinsic" else circuits.density(self.noise)
        return chip_noise(chip, self.noise_seed or 0, density)

    @property
    def settings(self) -> dict[str, Any]:
        """What decided the noise, for JSON."""
        return {"noise": self.noise, "noise_seed": None if self.noise is None else self.noise_seed or 0}


@takes_option_groups
def classify(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    *,
    which: ImageOptions,
    engine: EngineOptions,
    how: ClassifyOptions,
    circuit: TrimmableChipOptions,
    response: TableOptions,
    noise: NoiseOptions,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="FILE.csv", help="Write label, class and scores image by image."),
    ] = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Put FHN neurons in place of the hidden units and classify images."""
    from analog_fhn.inference import classify as classified

    start = time.perf_counter()
    backend = engine.load()
    table = response.drives(engine.backend, backend)
    net = how.load(network, circuit.trim)
    chip = circuit.build_if_asked(net, engine.backend)
    net = net if chip is None else chip.network  # with the technology's own window
    layer_noise = noise.build(chip)
    images = which.load(dataset, net, data)
    if predictions is not None:
        outputs.check_outputs({network: "the network"}, {"--predictions": predictions, "--json": json})
        outputs.writable(predictions)
    noisy = layer_noise is not None
    work = costs.classification(net, len(images.labels), backend=engine.backend, table=table, noisy=noisy)
    costs.check_work(work, yes=yes)
    tables = response.folder(table, engine.backend)
    label = "images" if table is None else "neuron runs, then images"
    with console.progress_bar(label) as bar, keeping() as work_kept:
        result = classified(
            chip or net, images.images, backend=backend, table=table, tables=tables, noise=layer_noise, progress=bar
        )
    if work_kept.interrupted:
        console.going_on(f"of {len(images.labels)} images the first {len(result.predictions)} are judged")
        images = images.head(len(result.predictions))
    if predictions is not None:
        write_predictions(predictions, images, result)
    content = _content(net, images, result)
    if not getattr(backend, "identity", True):
        content |= {"unsettled": None, "identity_deviation": None}
    what = _what(chip, engine.twin, circuit)
    if (drawn := getattr(backend, "spread", None)) is not None:
        console.say(f"hidden neurons are drawn: {drawn}", json)
    for line in _lines(what, net, content, result, bool(engine.twin) and table is not None):
        console.say(line, json)
    content["settings"] = (
        outputs.settings(net, chip, errors=circuit.errors, trim=circuit.trim)
        | engine.settings(backend)
        | {"trim": None if circuit.trim is None else str(circuit.trim)}
        | {"shift": None if circuit.shift is None else str(circuit.shift)}
        | which.settings(dataset)
        | noise.settings
    )
    outputs.write_json(json, "classify", circuit.chip, start, content)


def _content(network: Network, images: Dataset, result: Result) -> dict[str, Any]:
    """Numbers of the result, for JSON."""
    from analog_fhn.inference import confusion, per_class

    n_classes = network.layer_sizes[-1]
    return {
        "accuracy": result.accuracy(images.labels),
        "accuracy_plain": network.accuracy(images.images, images.labels),
        "n_images": len(images.labels),
        "per_digit": per_class(result.predictions, images.labels, n_classes),
        "confusion": confusion(result.predictions, images.labels, n_classes).tolist(),
        "unsettled": result.unsettled,
        "identity_deviation": result.identity_deviation,
        "table": None if result.table is None else asdict(result.table),
    }


def _what(chip: ManufacturedChip | None, twins: list[Path] | None, circuit: TrimmableChipOptions) -> str:
    """What classified the images, in words."""
    what = "ideal FHN neurons" if chip is None else "nominal chip" if chip.seed is None else f"chip {chip.seed}"
    if twins:
        what = "twins" if chip is None else f"twins in {what}"
    return what + ("" if circuit.shift is None else ", shifted") + ("" if circuit.trim is None else ", trimmed")


def _lines(what: str, network: Network, content: dict[str, Any], result: Result, twins: bool) -> Iterator[str]:
    """What people read of a result."""
    yield (
        f"{what}, {result.backend}, {network.readout} readout, {'recentred' if network.recentre else 'raw'}, "
        f"gamma {network.fhn.gamma:g}: {console.percent(content['accuracy'])} of {content['n_images']} images "
        f"(plain network: {console.percent(content['accuracy_plain'])})"
    )
    if result.table is not None:
        yield table_line(result.table, network.protocol.control)
    unsettled = content["unsettled"] or 0.0
    if unsettled > 0.01:
        share = f"note: {100 * unsettled:.1f} % of the neurons"
        off = "time average off by more than 0.05 from -(a + I)"
        if twins:
            yield f"{share} are no good twins there ({off}); recordings at more drives may help"
        elif network.protocol.control < _FEW_PERIODS:
            yield (
                f"{share} were off in a window of {network.protocol.control:g} T ({off}), which holds few periods; a "
                "longer --control may change the answer"
            )
        else:
            yield f"{share} had not settled ({off}); a longer --settle or --control may change the answer"


def table_line(quality: TableQuality, control: float) -> str:
    """What people read about a response table."""
    return (
        f"table of {quality.n_drives} drives a neuron: interpolation error of mean x rms {quality.rms:.1e}, largest "
        f"{quality.largest:.1e} ({quality.n_checks} checks); against the control window of {control:g} T rms "
        f"{quality.window_rms:.1e}, largest {quality.window_largest:.1e} ({quality.n_window} checks); largest "
        f"deviation from -(a + I) {quality.identity_deviation:.1e}"
    )


def write_predictions(path: Path, images: Dataset, result: Result) -> None:
    """Write one line per image: place in the split, label, predicted class, scores of all classes."""
    places = range(len(images.labels)) if images.places is None else images.places
    with new_table(path) as table:
        table.writerow(["image", "label", "prediction", *(f"score_{k}" for k in range(result.scores.shape[1]))])
        for i, label, predicted, scores in zip(places, images.labels, result.predictions, result.scores, strict=True):
            table.writerow([i, label, predicted, *(f"{s:.9g}" for s in scores)])
