"""Gives task scripts ``omni`` by its bare name."""

import sys

from xfworker.api import omni

sys.modules[__name__] = omni
