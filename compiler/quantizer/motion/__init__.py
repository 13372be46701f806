"""Moves through a graph that save work or steps of rounding, and change no result."""
