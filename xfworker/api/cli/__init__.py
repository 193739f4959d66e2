"""The `xfworker` command line."""
