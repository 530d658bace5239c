"""A neuron's dynamics rebuilt from one recording of its voltage.

After P. Kuptsov and N. Stankevich, "Reconstruction of neuromorphic dynamics from a single scalar time series using
variational autoencoder and neural network map", Chaos, Solitons & Fractals 191:115818 (2025), arXiv:2411.07055.
"""
