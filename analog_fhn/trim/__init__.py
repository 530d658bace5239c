"""Measuring one chip, trimming it, retraining its readout and writing its arrays again."""
