"""One folder per technology, each fitting one or more ports."""
