"""Gives task scripts ``omni`` by its bare name."""

import sys

from xfworker.api.facade import omni

sys.modules[__name__] = omni
