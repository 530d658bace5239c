"""What every part of the package stands on, and which has nothing to do with neurons: files and their limits."""
