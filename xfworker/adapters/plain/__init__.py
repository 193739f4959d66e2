"""File stores made from a few plain operations: the base for adapters of your own."""
