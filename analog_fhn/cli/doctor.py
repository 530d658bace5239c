"""`analog-fhn doctor`: what is installed, and does it agree with itself."""

from __future__ import annotations

import time
from dataclasses import asdict

import typer

from analog_fhn.cli import console, outputs, parameters


def doctor(json: parameters.JsonOption = None) -> None:
    """Check the installation; run one mismatched neuron through every backend, and one of transistors in ngspice."""
    from analog_fhn.studies.doctor import examine, examine_transistors

    start = time.perf_counter()
    with console.progress_bar("backends") as bar:
        checks, neuron = examine(bar)
        bar.label("transistors")
        of_transistors, transistors = examine_transistors()
    checks += of_transistors
    for check in checks:
        console.say(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.found}", json)
        if not check.ok:
            console.say(f"      needed: {check.needed}", json)
    console.say("\nbackend     period (T)   period error   waveform rms   mean x", json)
    for name, result in (neuron | ({} if transistors is None else {"transistor": transistors})).items():
        console.say(
            f"{name:10} {result.period:11.6f}   {result.period_error:+12.2e}   {result.waveform_rms:12.2e}   "
            f"{result.mean:+.4f}",
            json,
        )
    content = {
        "neuron": {name: asdict(result) for name, result in neuron.items()},
        "transistor_neuron": None if transistors is None else asdict(transistors),
        "checks": [{k: v for k, v in asdict(check).items() if k != "missing"} for check in checks],
    }
    outputs.write_json(json, "doctor", None, start, content)
    if any(check.missing and not check.ok for check in checks):
        raise typer.Exit(3)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
