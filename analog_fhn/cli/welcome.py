"""What `analog-fhn` alone shows: what a newcomer does first, each a command that works as it is printed."""

FIRST = (
    ("analog-fhn doctor", "is all here that it needs?"),
    ("analog-fhn train --dataset digits -o digits.npz", "train a small network, 64-100-10"),
    ("analog-fhn classify digits.npz --dataset digits", "put FHN neurons in place of its hidden units"),
    ("analog-fhn compare digits.npz --dataset digits --chip 1 -o compare", "build one chip: where is accuracy lost?"),
    ("analog-fhn export digits.npz --dataset digits --image 0 --chip 1 -o chip", "its circuit, for plain ngspice"),
)
"""Commands, and what each is for."""


def welcome() -> str:
    """The five commands, and where to go on."""
    steps = "\n".join(f"  {number}. {what}\n     {command}" for number, (command, what) in enumerate(FIRST, start=1))
    return (
        "Trained neural networks as analog circuits of FitzHugh-Nagumo neurons. Five things to do first:\n\n"
        f"{steps}\n\n"
        "Then: analog-fhn import FILE brings your own network, analog-fhn sweep manufactures many chips.\n"
        "All commands: analog-fhn --help; one of them: analog-fhn COMMAND --help."
    )
