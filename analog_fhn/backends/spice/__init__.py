"""Op-amp circuits in ngspice."""
