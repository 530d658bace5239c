"""Delay vectors, autoencoder and map: what is fitted to a recording."""
