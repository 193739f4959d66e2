"""What people touch: the facade, its sibling modules, settings, bootstrap, the command line."""
