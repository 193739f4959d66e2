"""
Modules that task scripts import by bare name beside ``xfworkerutil``.

Runners put this folder on a script's ``PYTHONPATH``; the installed package claims only its own names.
"""
