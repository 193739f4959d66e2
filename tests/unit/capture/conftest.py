"""Fixtures for captures: a stand-in for the platform, and what must not be found in a capture."""

import pytest

from tests.unit.capture.stand_in_platform import INPUTS, SECRETS, StandInPlatform


@pytest.fixture
def stand_in(tmp_path):
    return lambda shape="plain": StandInPlatform(tmp_path / shape, shape)


@pytest.fixture
def inputs():
    return dict(INPUTS)


@pytest.fixture
def secrets():
    return SECRETS
