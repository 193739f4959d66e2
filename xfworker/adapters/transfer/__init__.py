"""The engine of transfers, shared ground of the adapters: spans, journals, partial files, hashing, retries."""
