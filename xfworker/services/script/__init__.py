"""What a task script does: inputs, outputs, lifecycle, saving, spawning, sequences."""
