"""
The open implementation of ``xfworkerutil``: task scripts for micro-CT workflows, with a built-in server.

Scripts import :mod:`xfworkerutil`. The rooms of this package are ``domain`` (words and rules), ``ports`` (what the
rules need from outside), ``services`` (use cases), ``adapters`` (technologies) and ``api`` (what people touch).
"""

__version__ = "0.1.0"
