"""One circuit neuron rebuilt from a noisy recording, with many seeds: period and waveform of the free-running twin.

A neuron of the nominal circuit is recorded in ngspice, and white noise of 1 % of the voltage's standard deviation is
added, another one for each seed. Autoencoder and maps are trained from that seed, and the rule of `fit` chooses one of
six maps (three, before and after several steps), from the noisy recording alone. Its free runs from three recorded
states are then compared with the recording without the noise: the worst of the three counts. Takes less than a minute a
seed; what is in the CSV file is not computed again.

    python examples/reconstruct_circuit.py --seeds 10
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions
from analog_fhn.reconstruct.model.maps import MapOptions
from analog_fhn.reconstruct.pipeline import FitOptions, reconstruct_neuron
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.rhythm import Levels, Rhythm, waveform_error
from analog_fhn.reconstruct.sources.record import circuit_chip, record_circuit

FIELDS = (
    "seed", "regime", "period_recorded", "period", "period_error", "rms_of_range", "rms_of_deviation", "chosen",
    "seconds",
)  # fmt: skip
DRIVE, STEP = -0.5, 7e-6  # I; s


def rebuild(clean: Recording, noise: float, seed: int) -> dict[str, str]:
    """One line of the CSV file."""
    begin = time.perf_counter()
    noisy = clean.with_noise(noise, np.random.default_rng(1000 + seed))
    options = FitOptions(
        latent=2, dimension=32, restarts=3, seed=seed, map=MapOptions(hidden=60, samples=12_000),
        autoencoder=AutoencoderOptions(steps=20_000, batch_size=128, kl=1e-5),
    )  # fmt: skip
    found = reconstruct_neuron([noisy], options)
    seconds = time.perf_counter() - begin
    levels = Levels.of(clean.voltage)
    recorded = Rhythm.of(clean.voltage, clean.step, levels)
    runs = found.reconstruction.run(40 * recorded.period)
    rhythms = [Rhythm.of(run, clean.step, levels) for run in runs]
    shapes = [waveform_error(clean.voltage, run, clean.step, levels) for run in runs]
    errors = [abs(rhythm.period / recorded.period - 1.0) for rhythm in rhythms]
    worst = int(np.argmax(errors))
    return {
        "seed": str(seed),
        "regime": rhythms[worst].regime,
        "period_recorded": f"{recorded.period:.6g}",
        "period": f"{rhythms[worst].period:.6g}",
        "period_error": f"{errors[worst]:.5f}",
        "rms_of_range": f"{max(shape.of_range for shape in shapes):.5f}",
        "rms_of_deviation": f"{max(shape.of_deviation for shape in shapes):.5f}",
        "chosen": str(found.chosen),
        "seconds": f"{seconds:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--noise", type=float, default=0.01, help="share of the voltage's standard deviation")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/reconstruct_circuit"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "reconstruct_circuit.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    clean = record_circuit(circuit_chip("discrete"), DRIVE, step=STEP)[0]
    for seed in range(arguments.seeds):
        if any(row["seed"] == str(seed) for row in rows):
            continue
        rows.append(rebuild(clean, arguments.noise, seed))
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    periods = np.array([float(row["period_error"]) for row in rows])
    ranges, deviations = (np.array([float(row[name]) for row in rows]) for name in ("rms_of_range", "rms_of_deviation"))
    print(
        f"{len(rows)} seeds: period within {100 * periods.max():.2f} % (median {100 * np.median(periods):.2f} %), "
        f"waveform within {100 * ranges.max():.2f} % rms of its range (median {100 * np.median(ranges):.2f} %), "
        f"{100 * deviations.max():.2f} % of its standard deviation (median {100 * np.median(deviations):.2f} %)"
    )


if __name__ == "__main__":
    main()
