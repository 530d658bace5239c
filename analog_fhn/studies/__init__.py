"""What is computed about one network or installation beside its accuracy."""
