"""ngspice as a process and as text; knows nothing of neurons, so that cells may use it."""
