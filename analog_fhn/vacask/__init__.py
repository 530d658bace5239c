"""VACASK: our netlists in its language, and the program that runs them."""
