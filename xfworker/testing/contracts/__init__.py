"""Suites of tests that prove an adapter: one class per port, to inherit in your own test file."""
