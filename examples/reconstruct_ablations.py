"""Which ingredients a rebuilt neuron owes its rhythm to.

The modified Sherman-Rinzel neuron is rebuilt from 500 s of its voltage, with one ingredient changed at a time: the
delay vectors, the noise of the map's training, its optimiser, the number of latent coordinates, the hidden units, the
coordinates that the map works in, training over several steps. Each map runs freely for 100 s from three recorded
states; a run is right if it bursts with a period within 10 % and a number of spikes within 2. Takes a quarter of an
hour a seed; what is in the CSV file is not computed again.
"""

import argparse
import csv
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.autoencoder import Autoencoder, train_autoencoder
from analog_fhn.reconstruct.model.embedding import successive
from analog_fhn.reconstruct.model.levenberg import sigmoid
from analog_fhn.reconstruct.model.maps import CONTROL, MapOptions, NeuralMap, Pairs, fit_map
from analog_fhn.reconstruct.model.multistep import MultiStepOptions, refine_map
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.model.states import Coordinates
from analog_fhn.reconstruct.pipeline import Embedded, FitOptions, embed
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.rhythm import Rhythm
from analog_fhn.reconstruct.sources.record import record_sherman

FIELDS = (
    "group", "variant", "seed", "autoencoder_loss", "one_step", "bursting", "right", "period", "spikes", "seconds",
    "note",
)  # fmt: skip
DURATION, STARTS = 100.0, 3
PERIOD, SPIKES = 0.1, 2.0


@dataclass(frozen=True)
class Variant:
    """One ingredient changed; `refine` are options of a training over several steps that follows."""

    group: str
    name: str
    options: FitOptions
    optimiser: str = "levenberg"
    coordinates: str = "slow"
    refine: MultiStepOptions | None = field(default=None)


def variants() -> list[Variant]:
    usual = FitOptions(latent=3)

    def embedding(name: str, **changed: Any) -> Variant:
        return Variant("embedding", name, replace(usual, **changed))

    def mapped(group: str, name: str, **changed: Any) -> Variant:
        return Variant(group, name, replace(usual, map=replace(MapOptions(), **changed)))

    refined = [
        Variant(
            "several steps",
            f"K {ahead}, rate {rate:g}, forcing {forcing:g}",
            usual,
            refine=MultiStepOptions(ahead, learning_rate=rate, forcing=forcing),
        )
        for forcing, aheads, rates in (
            (0.1, (20, 50, 100, 200), (1e-4, 1e-5, 1e-3)),
            (0.02, (100, 200), (1e-4, 1e-5)),
            (0.0, (50,), (1e-4, 1e-5)),
        )
        for ahead in aheads
        for rate in rates
    ]
    return [
        Variant("reference", "reference", usual),
        embedding("uniform D 64, stride 1", stride=1),
        embedding("uniform D 128, stride 1", dimension=128, stride=1),
        embedding("uniform D 32, stride 8", dimension=32, stride=8),
        embedding("smoothing 0", smoothing=0.0),
        *(mapped("noise", f"noise {noise:g}", noise=noise) for noise in (0.0, 0.05, 0.1, 0.2, 0.5)),
        Variant("optimiser", "Adam", usual, optimiser="adam"),
        embedding("longest 1.28 s", longest=1.28),
        embedding("longest 2 s", longest=2.0),
        embedding("longest 8 s", longest=8.0),
        embedding("smoothing 0.15", smoothing=0.15),
        *(Variant("latent", f"latent {latent}", replace(usual, latent=latent)) for latent in (2, 4, 5)),
        *(mapped("hidden", f"hidden {hidden}", hidden=hidden) for hidden in (50, 200)),
        *(Variant("coordinates", kind, usual, coordinates=kind) for kind in ("raw", "standardised")),
        *refined,
    ]


def main(options: argparse.Namespace) -> None:
    rows = read(options.output)
    recording = record_sherman("modified")
    for seed in range(options.seeds):
        for variant in variants():
            if options.only and variant.group not in ("reference", *options.only):
                continue
            if any(row["variant"] == variant.name and int(row["seed"]) == seed for row in rows):
                continue
            row = judge(variant, seed, recording, options.output.with_suffix(""))
            rows.append({"group": variant.group, "variant": variant.name, "seed": seed} | row)
            write(options.output, rows)
            print(rows[-1], flush=True)
    report(rows)


def judge(variant: Variant, seed: int, recording: Recording, folder: Path) -> dict[str, float | int | str]:
    begin = time.perf_counter()
    embedded = embed([recording], variant.options)
    kept = folder / f"reference_{seed}.npz"
    reference = None
    if variant.group in ("reference", "embedding", "latent"):
        autoencoder, _ = train_autoencoder(embedded.vectors, embedded.index, variant.options.latent or 3, seed=seed)
    else:
        reference = Reconstruction.load(kept)
        autoencoder = reference.autoencoder
    coordinates = chosen_coordinates(variant.coordinates, autoencoder, embedded)
    states = coordinates.of(autoencoder.encode(embedded.vectors))
    pairs = Pairs.of(states, embedded.index, 1.0, coordinates.speeds)
    starts = states[np.linspace(0, len(states) - 1, STARTS + 2).astype(np.intp)[1:-1]]
    note = ""
    if variant.optimiser == "adam":
        found, note = adam(pairs, variant.options.map, seed)
    elif reference is not None and variant.refine is not None:
        start = reference.state_map
        found, _ = refine_map(start, states, embedded.index, 1.0, coordinates.speeds, variant.refine, seed=seed)
    else:
        found, _ = fit_map(pairs, variant.options.map, seed)
    made = Reconstruction(
        embedded.embedding, autoencoder, coordinates, found, embedded.step, embedded.levels, starts, np.ones(STARTS)
    )
    if variant.group == "reference":
        made.save(kept)
    seconds = time.perf_counter() - begin
    runs = [Rhythm.of(run, embedded.step, embedded.levels) for run in made.run(DURATION)]
    bursting = [run for run in runs if run.regime == "bursting"]
    return {
        "autoencoder_loss": autoencoder.loss(embedded.vectors),
        "one_step": pairs.error(found),
        "bursting": len(bursting),
        "right": sum(is_right(run, embedded.recorded[0]) for run in bursting),
        "period": float(np.median([run.period for run in bursting])) if bursting else float("nan"),
        "spikes": float(np.median([run.spikes_per_burst for run in bursting])) if bursting else float("nan"),
        "seconds": round(seconds, 1),
        "note": note or " ".join(run.regime for run in runs if run.regime != "bursting"),
    }


def is_right(run: Rhythm, recorded: Rhythm) -> bool:
    near = abs(run.period / recorded.period - 1) <= PERIOD
    return near and abs(run.spikes_per_burst - recorded.spikes_per_burst) <= SPIKES


def chosen_coordinates(kind: str, autoencoder: Autoencoder, embedded: Embedded) -> Coordinates:
    latents = autoencoder.encode(embedded.vectors)
    if kind == "slow":
        return Coordinates.fit(latents, embedded.index)
    scale = latents.std(axis=0) if kind == "standardised" else np.ones(latents.shape[1])
    centre = latents.mean(axis=0) if kind == "standardised" else np.zeros(latents.shape[1])
    steps = np.diff(latents / scale, axis=0)[successive(embedded.index)]
    return Coordinates(centre, np.diag(1 / scale), steps.std(axis=0))


def adam(pairs: Pairs, options: MapOptions, seed: int) -> tuple[NeuralMap, str]:
    """One-step training by Adam, for as long as Levenberg and Marquardt take, on all pairs with ever new noise."""
    begin = time.perf_counter()
    fit_map(pairs, options, seed)
    budget = time.perf_counter() - begin
    start, states = (
        first_map(pairs, options, seed),
        np.stack([pairs.now, pairs.then], axis=1).reshape(-1, len(pairs.speeds)),
    )
    index = np.arange(len(states)) + np.arange(len(states)) // 2  # a pair, then a gap

    marks: list[float] = []

    def train(updates: int) -> NeuralMap:
        how = MultiStepOptions(1, updates=updates, batch=256, learning_rate=5e-3, forcing=0.0, noise=options.noise)
        return refine_map(
            start,
            states,
            index,
            1.0,
            pairs.speeds,
            how,
            seed=seed,
            progress=lambda *_: marks.append(time.perf_counter()),
        )[0]

    train(1000)
    # The first hundred are left out: they hold the compilation.
    updates = 100 * max(1, round(budget / float(np.median(np.diff(marks)))))
    return train(updates), f"{updates} updates in {budget:.1f} s"


def first_map(pairs: Pairs, options: MapOptions, seed: int) -> NeuralMap:
    """Where `fit_map` begins, too: thresholds through drawn states, the output layer by least squares."""
    rng = np.random.default_rng(seed)
    drawn = pairs.drawn(rng, options.samples, options.noise)
    a = options.steepness * rng.normal(size=(drawn.now.shape[1], options.hidden))
    alpha = CONTROL * rng.normal(size=options.hidden)
    b = -np.sum(drawn.now[rng.integers(0, len(drawn.now), options.hidden)] * a.T, axis=1) - alpha
    unit: FloatArray = np.column_stack([sigmoid(drawn.now @ a + alpha + b), np.ones(len(drawn.now))])
    outer = np.linalg.solve(unit.T @ unit + 1e-4 * np.eye(unit.shape[1]), unit.T @ (drawn.then - drawn.now))
    return NeuralMap(a, alpha, b, outer[:-1], outer[-1])


def report(rows: list[dict[str, Any]]) -> None:
    """Print a line for each variant: totals over seeds, median and extremes of what bursts."""
    titles = ("variant", "seeds", "bursting", "right", "period (s)", "spikes", "AE loss", "one-step")
    layout = "{:>32} {:>5} {:>9} {:>7} {:>22} {:>18} {:>9} {:>9}"
    print(layout.format(*titles))
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == name]
        columns = {key: np.array([float(row[key]) for row in own]) for key in FIELDS[3:9]}
        bursting, right = (f"{columns[key].sum():.0f}/{STARTS * len(own)}" for key in ("bursting", "right"))
        period, spikes = spread(columns["period"], ".3f"), spread(columns["spikes"], ".1f")
        errors = (f"{np.median(columns[key]):.5f}" for key in ("autoencoder_loss", "one_step"))
        print(layout.format(name, len(own), bursting, right, period, spikes, *errors))


def spread(values: FloatArray, form: str) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    return f"{np.median(known):{form}} ({known.min():{form}}-{known.max():{form}})"


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file)]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--only", nargs="+", metavar="GROUP", help="groups of variants (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/reconstruct_ablations.csv"), metavar="CSV")
    main(parser.parse_args())
