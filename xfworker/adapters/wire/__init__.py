"""The wire, spelled once: its messages, problem documents, header fields and byte ranges, for both of its ends."""
