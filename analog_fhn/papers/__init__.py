"""The papers that are reproduced, a file each."""
