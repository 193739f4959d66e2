"""A job with everything it needs in one file: written from one server, run again on any other."""
