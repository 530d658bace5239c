"""The two ways in which a run can be refused; the command line turns them into exit status 2 and 3."""


class InputError(ValueError):
    """Something that the user gave is wrong: names the file, the key, the value and what was expected."""


class MissingProgramError(RuntimeError):
    """A needed program or optional package is absent: says what is missing and how to install it."""
