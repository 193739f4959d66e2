"""A job on its way in and out: staged with its inputs, its results collected."""
