"""Gives task scripts ``network`` by its bare name."""

import sys

from xfworker.api import network

sys.modules[__name__] = network
