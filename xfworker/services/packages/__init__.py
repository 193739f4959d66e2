"""Packages: checked, packed, kept on the server and fetched from it."""
