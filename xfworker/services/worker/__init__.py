"""The daemon that runs jobs: claims, executes one job under its lease, reports how it ended."""
