"""Blocks of other packages as .pt2 files."""
