"""What can be chosen: the settings, where they stand and what they must be."""
