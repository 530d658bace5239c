"""What may be wrong with a design, before anything is built or simulated."""
