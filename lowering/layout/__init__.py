"""Placement of transposes over the whole graph."""
