"""Training in Keras on JAX: networks whose weights become a circuit."""
