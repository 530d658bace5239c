"""Decks, whole chips and their export, bills of material."""
