"""Pilots: workers on machines that a batch system gives."""
