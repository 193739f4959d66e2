"""The words and the rules: pure classes and functions, no I/O, no clock, no environment."""
