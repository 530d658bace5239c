"""A small yield run: fresh chips of the design one by one, until enough are judged or nobody waits any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import Accuracy, Chips, State
from analog_fhn.bench.work import PatientDirect, Watch
from analog_fhn.errors import InputError
from analog_fhn.montecarlo import statistics
from analog_fhn.montecarlo.open_run import check_promise
from analog_fhn.montecarlo.plan import SHORTFALL, SweepPoint
from analog_fhn.montecarlo.trial import Job, Trial, run_trial
from analog_fhn.technology.typed_yaml import Section, explain

SEED = 0  # root seed of the chips


class YieldRun(Section):
    """How many chips are judged, and what a chip must reach.

    Parameters
    ----------
    chips, specification
        As for `af.sweep`; null: the plain network's accuracy less 0.005.
    """

    chips: Chips = 50
    specification: Accuracy | None = None

    @classmethod
    def read(cls, content: object) -> YieldRun:
        """Run of a request.

        Raises
        ------
        InputError
            Naming the value and what was expected.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(explain("yield", error, content)) from None


def yields(bench: Bench, state: State, run: YieldRun, watch: Watch) -> Iterator[dict[str, Any]]:
    """Chips that `af.sweep(design, images, chips=..., seed=0)` draws, one after another, each with the yield so far.

    Raises
    ------
    InputError
        For images or a specification that a sweep refuses.
    """
    design, data = bench.design(state, watch), bench.dataset.head(bench.n_images(state))
    plain = bench.plain(len(data.labels))
    accuracy = float((plain == data.labels).mean())
    specification = accuracy - SHORTFALL if run.specification is None else run.specification
    check_promise(data, accuracy, specification)
    engine = PatientDirect(watch=watch, what="response tables of a chip")
    job = Job(uuid4().hex, design.network, design.technology, data.images, data.labels, plain, SEED, engine)
    point, trials = SweepPoint(0, "sweep", "as shown"), list[Trial]()
    for number in range(run.chips):
        watch.look()
        trials.append(run_trial(job, point, number))
        yield statistics.summary(trials, specification) | {
            "chips": run.chips,
            "images": len(data.labels),
            "plain": accuracy,
            "accuracy": trials[-1].accuracy,
            "seed": trials[-1].chip_seed,
            "message": trials[-1].message,
        }
