"""Comparing what two runs of a job gave: numbers with a tolerance, images voxel by voxel, other files by content."""
