"""Judging a model on data, and searching the recipe that suits a budget."""
