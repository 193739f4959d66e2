"""Gives task scripts ``network`` by its bare name."""

import sys

from xfworker.api.facade import network

sys.modules[__name__] = network
