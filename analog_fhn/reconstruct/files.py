"""The name that `recordings.files` had; scripts with it go on working."""

from analog_fhn.reconstruct.recordings.files import read_recording, write_recording

__all__ = ["read_recording", "write_recording"]
