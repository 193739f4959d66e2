"""Password hashing by Argon2 (RFC 9106)."""
