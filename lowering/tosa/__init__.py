"""Canonicalisations and fusions inside TOSA."""
