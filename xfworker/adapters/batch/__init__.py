"""Batch systems, by their own commands: one file for each."""
