"""Gives task scripts ``xfsortorder`` by its bare name."""

import sys

from xfworker.api.facade import xfsortorder

sys.modules[__name__] = xfsortorder
