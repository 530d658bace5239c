"""Trained networks as analog circuits of FitzHugh-Nagumo neurons."""
