"""Neurons whose voltage can be recorded here."""
