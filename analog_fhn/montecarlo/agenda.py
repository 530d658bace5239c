"""Which trials are still to be run, and how many of them a worker is given at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from analog_fhn.montecarlo.trial import Trial

Task = tuple[int, int]
"""Number of the point, and of the trial."""

_LARGEST = 1000  # trials of a batch


@dataclass(frozen=True)
class Batch:
    """Trials of one point that one worker runs one after another.

    Parameters
    ----------
    point, trials
        Their numbers.
    alone
        Whether nothing else runs meanwhile, because workers died with the trial.
    """

    point: int
    trials: tuple[int, ...]
    alone: bool = False

    @property
    def tasks(self) -> list[Task]:
        """Point and trial of each."""
        return [(self.point, trial) for trial in self.trials]


class Agenda:
    """Trials that are not under way yet, in batches of as much work as was asked for.

    Parameters
    ----------
    tasks
        The trials.
    """

    DEATHS = 3  # workers that a trial may take with it before it counts as failed

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._waiting, self._suspects = deque(tasks), deque[Task]()
        self._deaths = Counter[Task]()
        self._pace: dict[int, float] = {}  # seconds of a trial, by point

    def __bool__(self) -> bool:
        return bool(self._waiting or self._suspects)

    def most(self, workers: int) -> int:
        """Batches that may be under way at a time."""
        return 1 if self._suspects else 2 * workers + 2

    def next(self, workers: int, seconds: float) -> Batch | None:
        """What is to be run next; None if nothing waits.

        Parameters
        ----------
        workers
            Number that shares what waits.
        seconds
            Work of a batch; how long a trial takes is seen from those of its point that are done.
        """
        if self._suspects:
            point, trial = self._suspects[0]
            return Batch(point, (trial,), alone=True)
        if not self._waiting:
            return None
        point = self._waiting[0][0]
        tasks = takewhile(lambda task: task[0] == point, islice(self._waiting, self._size(point, workers, seconds)))
        return Batch(point, tuple(trial for _, trial in tasks))

    def _size(self, point: int, workers: int, seconds: float) -> int:
        """Trials of this point that are about as much work as asked for, and no more than a worker's share."""
        if point not in self._pace:
            return 1
        share = -(-len(self._waiting) // workers)
        return max(1, min(int(seconds / max(self._pace[point], 1e-6)), share, _LARGEST))

    def take(self, batch: Batch) -> None:
        """Strike off what `next` has told."""
        waiting = self._suspects if batch.alone else self._waiting
        for _ in batch.trials:
            waiting.popleft()

    def landed(self, batch: Batch, trials: Sequence[Trial]) -> None:
        """Note what a batch has come to, and put the rest of it back; where it came to nothing each of it runs alone.

        Parameters
        ----------
        trials
            Those that are done.
        """
        done = {trial.trial for trial in trials}
        rest = [task for task in batch.tasks if task[1] not in done]
        if not trials:
            self._suspects.extend(rest)
            return
        self._waiting.extendleft(reversed(rest))
        seen = sum(trial.seconds for trial in trials) / len(trials)
        self._pace[batch.point] = 0.5 * (self._pace.get(batch.point, seen) + seen)

    def died(self, batch: Batch) -> list[Task]:
        """Put the trials of a batch back that a worker died with; returns those with which too many did."""
        self._deaths.update(batch.tasks)
        hopeless = [task for task in batch.tasks if self._deaths[task] >= self.DEATHS]
        self._suspects.extend(task for task in batch.tasks if task not in hopeless)
        return hopeless
