"""`analog-fhn doctor`: what is installed, and does it agree with itself."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from analog_fhn.cli import console, outputs, parameters

if TYPE_CHECKING:
    from analog_fhn.studies.doctor import Check


def doctor(json: parameters.JsonOption = None) -> None:
    """Check the installation; run one mismatched neuron through every backend, and one of transistors in ngspice."""
    from analog_fhn.studies.doctor import examine, examine_transistors, installed

    start = time.perf_counter()
    checks = installed()
    _say(checks, json)  # before what takes long
    with console.progress_bar("one neuron in every backend") as bar:
        of_neuron, neuron = examine(bar)
        bar.label("one neuron of transistors")
        of_transistors, transistors = examine_transistors()
    _say([*of_neuron, *of_transistors], json)
    checks += [*of_neuron, *of_transistors]
    console.say("\nbackend     period (T)   period error   waveform rms   mean x", json)
    for name, result in (neuron | ({} if transistors is None else {"transistor": transistors})).items():
        console.say(
            f"{name:10} {result.period:11.6f}   {result.period_error:+12.2e}   {result.waveform_rms:12.2e}   "
            f"{result.mean:+.4f}",
            json,
        )
    failed = sum(not check.ok for check in checks)
    console.say(f"\n{f'{failed} of {len(checks)} checks failed' if failed else 'everything is as needed'}", json)
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


def _say(checks: list[Check], json: str | None) -> None:
    for check in checks:
        console.say(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.found}", json)
        if not check.ok:
            console.say(f"      needed: {check.needed}", json)
