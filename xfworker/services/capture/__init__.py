"""Captures: what a job asked of the module ``xfworkerutil`` on its worker, and what it was given, to be played back."""
