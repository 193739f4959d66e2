"""The testing kit: fixtures for scripts, contract suites for adapters."""
