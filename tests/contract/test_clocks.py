"""The one suite for clocks."""

import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.memory.clock import ManualClock
from xfworker.testing.contracts.clock import ClockContract


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self):
        return SystemClock()


class TestManualClock(ClockContract):
    @pytest.fixture
    def clock(self):
        return ManualClock()
