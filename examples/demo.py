"""Shows what becomes of a trained network when FitzHugh-Nagumo circuits take the place of its hidden neurons.

The whole story on scikit-learn's digits (no download): train, compare all simulators on the same images, follow the
accuracy from the float weights to ngspice, export a chip, draw 200 chips. Writes pictures, a report and summary.json.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np

from analog_fhn import plots
from analog_fhn.backends.reference import Reference
from analog_fhn.backends.spice.backend import run_exported
from analog_fhn.chip import Chip
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.inference import classify, make_backend
from analog_fhn.montecarlo.open_run import open_run
from analog_fhn.montecarlo.plan import Sweep
from analog_fhn.montecarlo.statistics import summary
from analog_fhn.netlist.export import write_network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.papers.bogatenko2023 import figure2
from analog_fhn.report.run import report
from analog_fhn.studies.waterfall import consumption, picture, waterfall
from analog_fhn.technology.technology import Technology
from analog_fhn.training.plain import train_plain

CHIP = 1
CHIPS = 200
PLAN = {"technology": "discrete", "dataset": "digits", "chips": CHIPS, "seed": 0, "sensitivity": True}
SHORT = {"settle": 20.0, "control": 40.0}  # keeps the reference solver within a minute


def say(text: str) -> None:
    print(text, flush=True)


def main(folder: Path) -> None:
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    train, test = load("digits", "train"), load("digits", "test")

    say("1/6  training a plain 64-16-10 network on the digits")
    network = train_plain(train, n_hidden=16, epochs=100).network(train.scale)
    network.save(folder / "network.npz")
    plain = network.accuracy(test.images, test.labels)
    design = Design(network, Technology.load("discrete"))
    chip = design.chip(CHIP)

    say("2/6  phase plane, and one mismatched neuron in ngspice")
    figure2(folder, FHN())
    neuron, drive = chip.only(slice(0, 1)), np.array([[-0.8]])
    fine = Protocol(settle=0.0, control=8.0, interval=0.01)
    curves = {
        name: (fine.sample_times, make_backend(backend).respond(made, drive, fine, samples=True).samples[:, 0, 0])
        for name, backend, made in (
            ("ideal equations", "direct", Chip.ideal(network).only(slice(0, 1))),
            (f"op-amp circuit of chip {CHIP}, ngspice", "spice", neuron),
            ("its nine coefficients, direct", "direct", neuron),
        )
    }
    title = f"One neuron at drive I = {drive[0, 0]:g}: the circuit's parts are up to 1 % (R) and 5 % (C) off"
    plots.save(plots.traces(curves, title), folder / "waveform.png")

    say("3/6  the same chip and 3 images in all four simulators")
    short = network.with_options(**SHORT)
    images = test.images[:3]
    backends = {"reference": Reference(rtol=1e-6)} | {name: make_backend(name) for name in ("direct", "brian", "spice")}
    results = {
        name: classify(short, images, chip=Design(short, design.technology).chip(CHIP), backend=backend)
        for name, backend in backends.items()
    }
    agreement = {
        name: {
            "predictions": result.predictions.tolist(),
            "largest_score_difference": float(np.max(np.abs(result.scores - results["reference"].scores))),
            "seconds": result.seconds,
        }
        for name, result in results.items()
    }

    say("4/6  accuracy from float weights to the chip, stage by stage")
    stages = waterfall(
        network, chip, test.images, test.labels,
        noise_images=len(test.labels), brian_images=100, spice_images=5, spice_table=17,
    )  # fmt: skip
    drawn = consumption(network, chip, test.images[:1])
    plots.save(picture(stages, f"From trained weights to chip {CHIP}"), folder / "waterfall.png")

    say("5/6  exporting the chip under one image, and running what was exported in plain ngspice")
    whole = Design(short, design.technology).chip(CHIP)
    write_network(whole, images[0].astype(float), folder / "chip", {}, form="reduced")
    scores, expected = run_exported(folder / "chip"), results["direct"].scores[0]
    deviation = float(np.abs(scores - expected).max() / np.ptp(expected))

    say(f"6/6  {CHIPS} chips of Monte-Carlo, and what each group of parts costs them")
    specification = plain - 0.01
    plan = Sweep.model_validate(PLAN | {"network": "network.npz", "specification": specification})
    run = folder / "sweep"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    study = open_run(run, plan, network, design.technology, test)
    with study.store, study.workers(None, None) as workers:
        study.run(workers)
        trials = study.store.trials(0)
        study.store.export(folder / "trials.csv")
    accuracies = [t.accuracy for t in trials if t.accuracy is not None]
    spread = summary(trials, specification)
    plots.save(
        plots.histogram(accuracies, specification, plain, f"Monte-Carlo of {CHIPS} chips"), folder / "histogram.png"
    )
    report(run, folder / "report.html")

    seconds = time.perf_counter() - start
    content = {
        "accuracy_plain": plain,
        "backends": agreement,
        "stages": [
            {
                "name": s.name, "backend": s.backend, "accuracy": s.accuracy, "n_images": s.n_images,
                "agreement": s.agreement, "seconds": s.seconds,
            }
            for s in stages
        ],
        "power_per_neuron": drawn.power_per_neuron,
        "energy_per_inference": drawn.energy,
        "export": {"scores": scores.tolist(), "direct": expected.tolist(), "deviation": deviation},
        "sweep": spread,
        "seconds": seconds,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    by_name = {s.name: s for s in stages}
    ideal, made = by_name["ideal FHN"], by_name["mismatched tanh pairs and row drivers"]
    spice, table = by_name["same chip in ngspice"], by_name["same chip, ngspice response table"]
    same = all(result.predictions.tolist() == agreement["reference"]["predictions"] for result in results.values())
    rows = [
        ("plain network, float weights", f"{100 * plain:.1f} %", f"{len(test.labels)} test images"),
        ("FHN neurons, ideal equations", f"{100 * ideal.accuracy:.1f} %", "nothing retrained"),
        (f"chip {CHIP}: 32 levels, mismatched parts", f"{100 * made.accuracy:.1f} %", "nine coefficients a neuron"),
        ("the same chip as op-amps in ngspice", f"{spice.same} of {spice.n_images}", "images with the same answer"),
        ("the same, ngspice response tables", f"{100 * table.accuracy:.1f} %", f"all {table.n_images} images"),
        (
            "the exported netlists, one image",
            "agree" if np.argmax(scores) == np.argmax(expected) else "DISAGREE",
            f"scores within {100 * deviation:.2g} % of full scale",
        ),
        ("a hidden cell draws", f"{drawn.power_per_neuron:.2f} W", f"an answer takes {drawn.energy:.2g} J"),
        ("four simulators, 3 images", "agree" if same else "DISAGREE", "same class for every image"),
        (
            f"{CHIPS} chips, median",
            f"{100 * (spread['median_accuracy'] or 0):.1f} %",
            f"worst {100 * min(accuracies):.1f} %",
        ),
        (
            f"yield at {100 * specification:.1f} %",
            f"{100 * (spread['yield'] or 0):.0f} %",
            f"95 % interval {100 * (spread['yield_low'] or 0):.0f} to {100 * (spread['yield_high'] or 0):.0f} %",
        ),
    ]
    say("")
    for what, value, remark in rows:
        say(f"  {what:40} {value:>9}   {remark}")
    say(
        f"\nIn words: replacing the trained hidden neurons by FitzHugh-Nagumo circuits changed the accuracy by "
        f"{100 * (ideal.accuracy - plain):+.1f} points, building them from real parts by "
        f"{100 * (made.accuracy - ideal.accuracy):+.1f} more."
    )
    say(f"Pictures, netlists, summary.json and report.html are in {folder} ({seconds:.0f} s).")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/demo"), metavar="DIR")
    main(parser.parse_args().output)
