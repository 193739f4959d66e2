"""The only place that picks adapters and puts them together."""
