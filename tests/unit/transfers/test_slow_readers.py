"""Clients that take nothing of their answers: what is kept for them is bounded, and not for ever."""

import asyncio
from contextlib import ExitStack

import pytest

from xfworker.adapters.web.fss import requests
from xfworker.adapters.web.fss.reading import BlocksUnderWay
from xfworker.adapters.web.fss.requests import ClientGone, read_request

MIB = 1 << 20


def test_the_more_answers_are_under_way_the_smaller_are_their_blocks():
    sending = BlocksUnderWay()
    with ExitStack() as stack:
        sizes = [stack.enter_context(sending.another()) for _ in range(2000)]
    assert sizes[:64] == [MIB] * 64
    assert sum(sizes) <= 400 * MIB
    assert min(sizes) == 64 << 10
    with sending.another() as size:
        assert size == MIB


def test_an_answer_that_nobody_takes_is_ended(monkeypatch):
    monkeypatch.setattr(requests, "_READER_SECONDS", 0.01)
    sent = []

    async def stalled(message):
        sent.append(message["type"])
        if message.get("body"):
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/fss/v1/files/userdata/a.bin", "headers": []}
    request = read_request(scope, None, stalled, mount="/fss/v1")
    with pytest.raises(ClientGone):
        asyncio.run(request.answer_blocks(200, {}, iter([b"a", b"b"])))
    assert sent == ["http.response.start", "http.response.body"]
