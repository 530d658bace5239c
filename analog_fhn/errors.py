"""Ways in which a run can be refused or end early; the command line turns them into exit status 2, 3 and 1."""


class InputError(ValueError):
    """Something that the user gave is wrong: names the file, the key, the value and what was expected."""


class MissingProgramError(RuntimeError):
    """A needed program or optional package is absent: says what is missing and how to install it."""


class RunError(RuntimeError):
    """Work that was under way cannot go on (a full disk, workers that die); what was done is kept."""
