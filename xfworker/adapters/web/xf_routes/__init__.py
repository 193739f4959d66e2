"""The XF Server's routes, below /xf/v1."""
