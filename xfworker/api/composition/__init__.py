"""The only package that picks adapters and puts them together."""
