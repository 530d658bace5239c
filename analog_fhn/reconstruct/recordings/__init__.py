"""Recordings: their files, sampling and samples."""
