"""File stores made from a few plain operations: the base for adapters of somebody else's."""
