"""Rewrites from the torch dialect through TOSA to what a target takes."""
