"""The use cases, written against ports only: the worker's side and the platform's side."""
