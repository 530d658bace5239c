"""`analog-fhn train`: a plain network in Keras, saved as a network file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from analog_fhn.cli import common


def train(
    dataset: common.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="NETWORK.npz", help="Network file to write.")],
    model: Annotated[Literal["ann"], typer.Option("--model", help="ann: the plain network.")] = "ann",
    hidden: Annotated[int, typer.Option("--hidden", min=1, help="Number of hidden neurons.")] = 100,
    activation: Annotated[
        Literal["sigmoid", "tanh"], typer.Option("--activation", help="Hidden activation.")
    ] = "sigmoid",
    bias: Annotated[bool, typer.Option("--bias", help="Train biases too (the paper has none).")] = False,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training images.")] = 20,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step.")] = 32,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Adam's step size at the start.")] = 3e-3,
    images: common.ImagesOption = None,
    data: common.DataOption = None,
    seed: common.SeedOption = 0,
    json: common.JsonOption = None,
) -> None:
    """Train n_in - hidden - n_classes, report its test accuracy, and save it."""
    from analog_fhn.datasets import load
    from analog_fhn.inference import confusion, per_class
    from analog_fhn.training.plain import train_plain

    start = time.perf_counter()
    common.writable(output)
    training = load(dataset, "train", data)
    if images is not None:
        training = training.head(min(images, len(training.labels)))
    test = load(dataset, "test", data)
    with common.progress_bar("training") as bar:
        trained = train_plain(
            training,
            n_hidden=hidden,
            hidden=activation,
            bias=bias,
            epochs=epochs,
            batch_size=batch,
            learning_rate=learning_rate,
            seed=seed,
            progress=lambda epoch, total, _loss, _accuracy: bar(epoch, total),
        )
    network = trained.network(training.scale)
    network.save(output)
    predictions = network.forward(test.images).argmax(axis=1)
    accuracy = float((predictions == test.labels).mean())
    common.say(
        f"plain network {'-'.join(map(str, network.layer_sizes))} ({activation}): {common.percent(accuracy)} of "
        f"{len(test.labels)} test images, {common.percent(trained.history['accuracy'][-1])} of the training images; "
        f"saved as {output}",
        json,
    )
    content = {
        "accuracy": accuracy,
        "n_images": len(test.labels),
        "per_digit": per_class(predictions, test.labels, network.layer_sizes[-1]),
        "confusion": confusion(predictions, test.labels, network.layer_sizes[-1]).tolist(),
        "history": trained.history,
        "settings": common.settings(network, None) | {"trained": trained.settings, "dataset": dataset, "model": model},
    }
    common.write_json(json, "train", seed, start, content)
