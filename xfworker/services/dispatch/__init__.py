"""Running jobs: how a script is called, watched, and judged when it has ended."""
