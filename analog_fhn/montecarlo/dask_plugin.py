"""What a Dask worker holds of a sweep; imported where Dask is, on the driver and on workers."""

from __future__ import annotations

from distributed import Worker, WorkerPlugin

from analog_fhn.montecarlo.trial import Job, forget_job, keep_job


class KeepsJob(WorkerPlugin):  # type: ignore[misc]
    """Has a worker hold a job as long as the sweep lasts.

    Parameters
    ----------
    job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self, worker: Worker) -> None:
        """Called by the worker, before its first task."""
        keep_job(self._job)

    def teardown(self, worker: Worker) -> None:
        """Called by the worker in the end."""
        forget_job(self._job.key)
