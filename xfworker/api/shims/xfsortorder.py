"""Gives task scripts ``xfsortorder`` by its bare name."""

import sys

from xfworker.api import xfsortorder

sys.modules[__name__] = xfsortorder
