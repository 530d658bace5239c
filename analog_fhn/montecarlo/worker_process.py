"""How a worker process begins.

The driver cannot go on before a new process has read what it is sent. So nothing heavy is imported until it has.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
from pathlib import Path

BEGAN = "began"  # file in the folder of the images: there is a worker that waits for trials


def begin(job: bytes) -> None:
    """Make a process of ours a worker: Ctrl-C is the driver's business, and no worker outlives it.

    Parameters
    ----------
    job
        The `Job` of its trials, whose images are in a folder, as the driver has pickled it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (multiprocessing.connection.wait([sentinel]), os._exit(1)), daemon=True).start()
    from analog_fhn._support.threads import stay_single
    from analog_fhn.montecarlo.trial import keep_job

    stay_single()
    received = pickle.loads(job)
    keep_job(received)
    assert isinstance(received.images, Path)
    (received.images / BEGAN).touch()
