"""What people touch: the facade, the settings, the composition of adapters, the command line."""
