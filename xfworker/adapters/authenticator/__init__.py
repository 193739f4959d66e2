"""Codes of authenticator applications (RFC 6238), by secrets that are encrypted in the records."""
