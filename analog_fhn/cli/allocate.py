"""`analog-fhn allocate`: the cheapest part classes that still meet a yield."""

from __future__ import annotations

import time

from analog_fhn.cli import console, outputs, parameters
from analog_fhn.cli.sweep import PlanArgument, RunOption, SchedulerOption, begin, settings


def allocate(
    plan: PlanArgument,
    output: RunOption,
    workers: parameters.WorkersOption = None,
    scheduler: SchedulerOption = None,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Choose the cheapest tolerance classes of the technology's cost table that still meet the plan's yield.

    Goes on with a run of the same plan in the folder, or begins one. Writes technology.yaml of the choice, and bom.csv
    of parts that are bought; of a chip of transistors prices are areas.
    """
    from analog_fhn.design import Design
    from analog_fhn.errors import SimulationError
    from analog_fhn.montecarlo.allocation import allocate as search
    from analog_fhn.netlist.bom import bill, write_bill

    start = time.perf_counter()
    study = begin(plan, output, data, resume=True, workers=workers, scheduler=scheduler, yes=yes)
    with study.store:
        with study.workers(workers, scheduler) as where, console.progress_bar("chips") as bar:
            outcome = search(study, where, bar)
        study.store.export(output / "trials.csv")
        decided = settings(study)
        first = study.store.points()[0].design(study.network, study.technology)
    chosen, confirmed = outcome["chosen"], outcome["confirmation"]
    simulated = sum(step["n_trials"] for step in outcome["steps"])
    console.say(
        f"{len(outcome['steps'])} combinations judged on {simulated} chips; present parts cost "
        f"{outcome['present']['cost']:.2f}",
        json,
    )
    if chosen is not None:
        technology = first.technology.with_classes(chosen["classes"])
        technology.save(output / "technology.yaml")
        files = [output / "technology.yaml"]
        if technology.BOUGHT:
            files.insert(0, output / "bom.csv")
            write_bill(bill(Design(first.network, technology), recentre=first.network.recentre), files[0])
        for key, name in chosen["classes"].items():
            before = outcome["present"]["classes"][key]
            console.say(f"  {key}: {name}" + ("" if name == before else f" (was {before})"), json)
        console.say(
            f"cheapest: {chosen['cost']:.2f}; on {confirmed['n_trials']} fresh chips yield "
            f"{100 * confirmed['yield']:.1f} % (95 % interval {100 * confirmed['yield_low']:.1f} to "
            f"{100 * confirmed['yield_high']:.1f} %)",
            json,
        )
        outputs.say_written(files, json)
    if outcome["unpriced"]:
        console.say(f"without a price: {', '.join(outcome['unpriced'])}", json)
    outputs.write_json(json, "allocate", study.plan.seed, start, outcome | {"settings": decided})
    if chosen is None:
        raise SimulationError(
            f"no combination of the technology's classes reaches a yield of {100 * outcome['target']:g} % at "
            f"{console.percent(outcome['specification'])}"
        )
