"""A server as people see it in a notebook: runs as tables, images, sequences, start and wait."""
