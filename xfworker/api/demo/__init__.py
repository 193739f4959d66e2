"""The demo: a phantom with a known answer, and the task type packages that are run on it."""
