"""`analog-fhn classify`: images through a network with FHN neurons."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from analog_fhn._support.files import new_table
from analog_fhn.cli import circuits, console, costs, inputs, option_values, outputs, parameters
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.backends.base import Backend
    from analog_fhn.backends.table.waveforms import TableQuality
    from analog_fhn.data import Dataset
    from analog_fhn.inference import Result


def classify(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    split: parameters.SplitOption = "test",
    images: parameters.ImagesOption = None,
    stratified: parameters.StratifiedOption = False,
    images_seed: parameters.ImagesSeedOption = None,
    backend: Annotated[
        Literal["direct", "reference", "brian", "spice", "twin"],
        typer.Option("--backend", help="What integrates the neurons; twin: reconstructions of recorded neurons."),
    ] = "direct",
    twin: Annotated[
        list[Path] | None,
        typer.Option(
            "--twin",
            metavar="FILE.npz",
            help="Of `analog-fhn reconstruct`; given several times, hidden neurons take turns (--backend twin).",
        ),
    ] = None,
    readout: parameters.ReadoutOption = None,
    raw: parameters.RawOption = False,
    protocol: parameters.ProtocolOption = None,
    gamma: parameters.GammaOption = None,
    a: parameters.AOption = None,
    eps: parameters.EpsOption = None,
    slope: parameters.SlopeOption = None,
    settle: parameters.SettleOption = None,
    control: parameters.ControlOption = None,
    technology: parameters.TechnologyOption = None,
    chip: parameters.ChipOption = None,
    trim: parameters.TrimOption = None,
    errors: parameters.ErrorsOption = None,
    temperature: parameters.TemperatureOption = None,
    supply: parameters.SupplyOption = None,
    table: Annotated[
        int | None,
        typer.Option(
            "--table",
            metavar="N",
            help="Have the backend measure every neuron at N drives once, and interpolate for the images "
            "(twin: always, at 33 drives where none is given).",
        ),
    ] = None,
    tables: parameters.TablesOption = None,
    noise: parameters.NoiseOption = None,
    noise_seed: parameters.NoiseSeedOption = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="FILE.csv", help="Write label, class and scores image by image."),
    ] = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Put FHN neurons in place of the hidden units and classify images."""
    from analog_fhn import inference

    start = time.perf_counter()
    draw = inputs.seed_of_draw(stratified, images_seed)
    engine, table = twins(backend, twin, table)
    net = inputs.load_network(
        network, protocol=protocol, readout=readout, raw=raw, gamma=gamma, a=a, eps=eps, slope=slope,
        settle=settle, control=control, trim=trim,
    )  # fmt: skip
    sample = circuits.requested_chip(
        net, technology, chip, backend, errors=errors, temperature=temperature, supply=supply, trim=trim
    )  # fmt: skip
    noisy = circuits.make_noise(sample, noise, noise_seed)
    chosen = inputs.load_images(dataset, split, data, images, net, draw=draw)
    if predictions is not None:
        outputs.check_outputs({network: "the network"}, {"--predictions": predictions, "--json": json})
        outputs.writable(predictions)
    work = costs.classification(net, len(chosen.labels), backend=backend, table=table, noisy=noisy is not None)
    costs.check_work(work, yes=yes)
    kept = outputs.tables_folder(table, tables, backend)
    with console.progress_bar("images" if table is None else "neuron runs, then images") as bar:
        result = inference.classify(
            sample or net, chosen.images, backend=engine, table=table, tables=kept, noise=noisy, progress=bar
        )
    n_classes = net.layer_sizes[-1]
    accuracy = result.accuracy(chosen.labels)
    plain = net.accuracy(chosen.images, chosen.labels)
    if predictions is not None:
        write_predictions(predictions, chosen, result)
    what = "ideal FHN neurons" if sample is None else "nominal chip" if sample.seed is None else f"chip {sample.seed}"
    if twin:
        what = "twins" if sample is None else f"twins in {what}"
    what += "" if trim is None else ", trimmed"
    console.say(
        f"{what}, {result.backend}, {net.readout} readout, {'recentred' if net.recentre else 'raw'}, "
        f"gamma {net.fhn.gamma:g}: {console.percent(accuracy)} of {len(chosen.labels)} images "
        f"(plain network: {console.percent(plain)})",
        json,
    )
    if result.table is not None:
        console.say(table_line(result.table, net.protocol.control), json)
    if result.unsettled > 0.01:
        share = f"note: {100 * result.unsettled:.1f} % of the neurons"
        off = "time average off by more than 0.05 from -(a + I)"
        console.say(
            f"{share} are no good twins there ({off}); recordings at more drives may help"
            if twin
            else f"{share} had not settled ({off}); a longer --settle or --control may change the answer",
            json,
        )
    content = {
        "accuracy": accuracy,
        "accuracy_plain": plain,
        "n_images": len(chosen.labels),
        "per_digit": inference.per_class(result.predictions, chosen.labels, n_classes),
        "confusion": inference.confusion(result.predictions, chosen.labels, n_classes).tolist(),
        "unsettled": result.unsettled,
        "identity_deviation": result.identity_deviation,
        "table": None if result.table is None else asdict(result.table),
        "settings": outputs.settings(net, sample, errors=errors, trim=trim)
        | {"backend": backend, "dataset": dataset, "split": split, "trim": None if trim is None else str(trim)}
        | {"stratified": stratified, "images_seed": draw}
        | {"twins": [str(path) for path in twin or []]}
        | {"noise": noise, "noise_seed": None if noisy is None else noisy[0].seed},
    }
    outputs.write_json(json, "classify", chip, start, content)


def twins(backend: str, files: list[Path] | None, table: int | None) -> tuple[str | Backend, int | None]:
    """Backend that the options ask for, and the drives of its table: twins always have one."""
    if backend != "twin":
        if files:
            raise option_values.foreign(
                "--twin", f"--twin {files[0]}", f"--backend {backend}", {"--backend twin": ["--twin"]}
            )
        return backend, table
    if not files:
        raise InputError("--backend twin: --twin FILE.npz is missing, a file of `analog-fhn reconstruct`")
    from analog_fhn.reconstruct.twin import TABLE, Twins

    return Twins.load(files), TABLE if table is None else table


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
