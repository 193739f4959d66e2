"""The functions of the flat documented module, by what they are about."""
