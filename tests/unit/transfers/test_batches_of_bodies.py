"""Bodies of uploads: how much of them is written at once."""

import asyncio

import pytest

from xfworker.adapters.web.fss import requests
from xfworker.adapters.web.fss.receiving import BodiesUnderWay
from xfworker.adapters.web.fss.requests import ClientGone, Request

MIB = 1 << 20
BLOCK = bytes(MIB // 4)


class Written:
    def __init__(self):
        self.batches = []

    def write(self, *blocks):
        self.batches.append(sum(map(len, blocks)))


def request(receive):
    async def send(_):
        pass

    return Request("PUT", ("files",), {}, {}, pathsend=False, receive=receive, send=send)


def body(count, *, before=lambda _: None, end="http.request"):
    """Give a request whose body has so many blocks, and what is to happen before each is received."""
    numbers = iter(range(count + 1))

    async def receive():
        number = next(numbers)
        before(number)
        if number == count:
            return {"type": end, "body": b"", "more_body": False}
        return {"type": "http.request", "body": BLOCK, "more_body": True}

    return request(receive)


def test_one_body_is_written_in_large_batches_and_the_rest_of_it():
    written = Written()
    assert asyncio.run(BodiesUnderWay().receive(body(40), written)) == 10 * MIB
    assert written.batches == [4 * MIB, 4 * MIB, 2 * MIB]


@pytest.mark.parametrize(("uploads", "batch"), [(1, 4 * MIB), (8, 4 * MIB), (32, MIB), (1000, MIB // 4)])
def test_batches_become_smaller_with_the_number_of_bodies_so_that_their_memory_is_bounded(uploads, batch):
    async def received_among_others():
        under_way, begun = BodiesUnderWay(), asyncio.Event()
        waiting = 0

        async def never():
            nonlocal waiting
            waiting += 1
            if waiting == uploads - 1:
                begun.set()
            await asyncio.Event().wait()

        others = [asyncio.ensure_future(under_way.receive(request(never), Written())) for _ in range(uploads - 1)]
        if others:
            await begun.wait()
        written = Written()
        await under_way.receive(body(32), written)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        alone = Written()
        await under_way.receive(body(32), alone)
        return written.batches, alone.batches

    among_others, alone = asyncio.run(received_among_others())
    assert among_others == [batch] * (8 * MIB // batch)
    assert alone == [4 * MIB, 4 * MIB]


def test_what_comes_slowly_is_written_about_every_second():
    async def received():
        loop = asyncio.get_running_loop()
        began, seconds = loop.time(), 0.0
        loop.time = lambda: began + seconds

        def half_a_second_later(_):
            nonlocal seconds
            seconds += 0.5

        written = Written()
        await BodiesUnderWay().receive(body(8, before=half_a_second_later), written)
        return written.batches

    assert asyncio.run(received()) == [2 * len(BLOCK)] * 4


def test_what_came_before_a_connection_broke_is_written():
    written = Written()
    with pytest.raises(ClientGone):
        asyncio.run(BodiesUnderWay().receive(body(3, end="http.disconnect"), written))
    assert written.batches == [3 * len(BLOCK)]


def test_a_client_that_takes_nothing_of_an_answer_is_left(monkeypatch):
    monkeypatch.setattr(requests, "_READER_SECONDS", 0.01)
    sent = []

    async def send(message):
        sent.append(message["type"])
        if len(sent) > 2:
            await asyncio.Event().wait()

    async def work():
        request = Request("GET", ("files",), {}, {}, pathsend=False, receive=None, send=send)
        async with asyncio.timeout(20):
            await request.answer_blocks(200, {}, [b"a", b"b", b"c"])

    with pytest.raises(ClientGone):
        asyncio.run(work())
    assert sent == ["http.response.start", "http.response.body", "http.response.body"]
