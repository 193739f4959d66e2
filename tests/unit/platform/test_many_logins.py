"""Strangers who ask for much: guesses are slowed down, work with passwords is kept apart, bodies have to go on."""

import asyncio
import json
import tracemalloc

import msgspec
import pytest
from attrs import define, evolve, field

from tests.unit.platform.test_file_rights import Lab
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.web.password_work import PasswordWork
from xfworker.adapters.web.request_limits import RequestLimits, memory_of
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import AuthenticationFailed, TooManyRequests
from xfworker.domain.records import Project
from xfworker.services.platform.keeping import check_json
from xfworker.services.platform.login_throttle import LoginThrottle


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


def guesses(accounts, name, count, address="a"):
    """Guess a password and give what was answered to each guess."""
    answers = []
    for number in range(count):
        with pytest.raises((AuthenticationFailed, TooManyRequests)) as caught:
            accounts.log_in(name, f"guess {number}", address=address)
        answers.append(type(caught.value))
    return answers


def test_guesses_at_an_account_are_slowed_down_and_the_wait_is_said(lab):
    lab.person("anna")
    accounts = lab.platform.accounts_for(lab.admin)
    answers = guesses(accounts, "anna", 15, address="stranger")
    assert answers == [AuthenticationFailed] * 10 + [TooManyRequests] * 5
    with pytest.raises(TooManyRequests) as caught:
        accounts.log_in("anna", "anna-password", address="stranger")
    assert caught.value.status == 429
    lab.clock.advance(caught.value.retry_after_seconds + 0.01)
    assert accounts.log_in("anna", "anna-password", address="stranger").text


def test_names_are_counted_without_regard_to_case_and_to_whether_they_exist(lab):
    lab.person("anna")
    accounts = lab.platform.accounts_for(lab.admin)
    for name in ("anna", "nobody"):
        for number in range(9):
            guesses(accounts, name, 1, address=f"stranger {name} {number}")
        assert guesses(accounts, name.upper(), 2, address=f"other {name}") == [AuthenticationFailed, TooManyRequests]


def test_guesses_from_one_address_are_slowed_down_alike_whether_names_exist(lab):
    lab.person("anna")
    accounts = lab.platform.accounts_for(lab.admin)
    known = guesses(accounts, "anna", 20, address="one")
    unknown = [guesses(accounts, f"nobody{number}", 1, address="two")[0] for number in range(20)]
    assert known == unknown


def test_who_came_in_before_is_not_kept_out_by_guesses_from_elsewhere(lab):
    lab.person("anna")
    accounts = lab.platform.accounts_for(lab.admin)
    accounts.log_in("anna", "anna-password", address="home")
    guesses(accounts, "anna", 20, address="stranger")
    guesses(accounts, "nobody", 20, address="home")
    assert accounts.log_in("anna", "anna-password", address="home").text


def test_who_comes_in_with_an_account_of_their_own_has_no_more_guesses_at_others_from_there():
    throttle = LoginThrottle(ManualClock())
    for number in range(10):
        throttle.failed(f"name{number}", "stranger")
    throttle.succeeded("own", "stranger")
    throttle.require_turn("own", "stranger")
    with pytest.raises(TooManyRequests):
        throttle.require_turn("another", "stranger")


def test_an_address_that_tries_many_names_is_slowed_down():
    clock = ManualClock()
    throttle = LoginThrottle(clock)
    for number in range(10):
        throttle.require_turn(f"name{number}", "stranger")
        throttle.failed(f"name{number}", "stranger")
    with pytest.raises(TooManyRequests):
        throttle.require_turn("another", "stranger")
    throttle.require_turn("another", "elsewhere")
    clock.advance(1_000)
    throttle.require_turn("another", "stranger")


def test_of_many_names_and_addresses_the_oldest_are_let_go():
    throttle = LoginThrottle(ManualClock())
    for _ in range(10):
        throttle.failed("first", "stranger")
    throttle.succeeded("anna", "home")
    with pytest.raises(TooManyRequests):
        throttle.require_turn("first", "elsewhere")
    for number in range(10_000):
        throttle.failed(f"name{number}", f"address{number}")
        throttle.succeeded(f"person{number}", "office")
    throttle.require_turn("first", "elsewhere")
    for _ in range(10):
        throttle.failed("anna", "elsewhere")
    with pytest.raises(TooManyRequests):
        throttle.require_turn("anna", "home")


def test_waits_grow_up_to_a_minute():
    clock = ManualClock()
    throttle = LoginThrottle(clock)
    waits = []
    for _ in range(20):
        try:
            throttle.require_turn("anna", "stranger")
        except TooManyRequests as refused:
            waits.append(refused.retry_after_seconds)
            clock.advance(refused.retry_after_seconds)
        throttle.failed("anna", "stranger")
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (1.0, 60.0)


@define
class Counting:
    """A hasher that counts what it is asked."""

    asked: list = field(factory=list)

    def hash(self, _):
        self.asked.append("hash")
        return "hashed"

    def matches(self, _, hashed):
        self.asked.append("matches")
        return False


def test_a_name_that_is_not_there_takes_the_same_work_as_a_wrong_password(lab):
    lab.person("anna")
    accounts = lab.platform.accounts_for(lab.admin)
    hasher = Counting()
    accounts.signing_in = evolve(accounts.signing_in, hasher=hasher)
    guesses(accounts, "anna", 1, address="a")
    hasher.asked.clear()
    guesses(accounts, "anna", 1, address="b")
    known = list(hasher.asked)
    hasher.asked.clear()
    guesses(accounts, "nobody", 1, address="c")
    assert hasher.asked == known == ["matches"]


def test_a_guess_that_comes_too_soon_costs_no_work(lab):
    lab.person("anna")
    accounts = lab.platform.accounts_for(lab.admin)
    hasher = Counting()
    accounts.signing_in = evolve(accounts.signing_in, hasher=hasher)
    guesses(accounts, "anna", 10)
    hasher.asked.clear()
    assert guesses(accounts, "anna", 3) == [TooManyRequests] * 3
    assert hasher.asked == []


def test_work_with_passwords_waits_in_a_short_queue_and_leaves_other_threads_free():
    async def flood():
        work, running, started, release = PasswordWork(), [], asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold():
            running.append(1)
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        tasks = [asyncio.ensure_future(work.run(hold)) for _ in range(60)]
        await started.wait()
        refused = [task for task in tasks if task.done()]
        assert len(refused) == 60 - 32
        assert all(isinstance(task.exception(), TooManyRequests) for task in refused)
        assert await asyncio.to_thread(lambda: "free") == "free"
        assert len(running) <= 2
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(running) == 32

    asyncio.run(flood())


@define
class Call:
    """One request to an application behind the limits."""

    limits: RequestLimits
    sent: list = field(factory=list)

    async def __call__(self, receive, address="1.2.3.4", path="/x"):
        async def send(message):
            self.sent.append(message)

        scope = {"type": "http", "method": "PUT", "path": path, "headers": [], "client": (address, 5)}
        await self.limits(scope, receive, send)
        return self.sent[0]["status"]


async def reading(_scope, receive, send):
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        if not message.get("more_body"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return


async def stalled():
    await asyncio.Event().wait()


def test_a_body_that_does_not_go_on_is_ended():
    call = Call(RequestLimits(reading, body_seconds=0.01))
    assert asyncio.run(call(stalled)) == 408
    assert json.loads(call.sent[1]["body"])["type"].endswith("server-timeout")
    assert (b"connection", b"close") in call.sent[0]["headers"]


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_body_that_breaks_off_is_not_an_error_of_the_server(pieces):
    left = [{"type": "http.request", "body": b"a", "more_body": True}] * pieces

    async def breaking_off():
        return left.pop() if left else {"type": "http.disconnect"}

    call = Call(RequestLimits(reading))
    assert asyncio.run(call(breaking_off)) == 400
    assert json.loads(call.sent[1]["body"])["type"].endswith("usage")


def test_large_bodies_that_are_held_at_once_are_bounded_and_small_ones_and_files_go_on():
    async def work():
        held, all_held, release = [], asyncio.Event(), asyncio.Event()

        async def holding(_scope, receive, send):
            while (message := await receive())["type"] == "http.request":
                if not message["more_body"]:
                    held.append(1)
                    if len(held) == 7:
                        all_held.set()
                    await release.wait()
                    await send({"type": "http.response.start", "status": 200, "headers": []})
                    return

        limits = RequestLimits(holding, held_bytes=1 << 20)

        async def asked(size, path="/x"):
            pieces = [size // 2, size - size // 2]

            async def receive():
                size = pieces.pop()
                return {"type": "http.request", "body": bytes(size), "more_body": bool(pieces)}

            call = Call(limits)
            await call(receive, path=path)
            return call.sent[0]["status"]

        tasks = [asyncio.ensure_future(asked(600_000)) for _ in range(3)]
        tasks += [asyncio.ensure_future(asked(60_000)) for _ in range(3)]
        tasks += [asyncio.ensure_future(asked(600_000, path="/fss/v1/files/userdata/a")) for _ in range(3)]
        async with asyncio.timeout(10):
            await all_held.wait()
        release.set()
        assert sorted(await asyncio.gather(*tasks)) == [200] * 7 + [503] * 2
        assert await asked(600_000) == 200

    asyncio.run(work())


@pytest.mark.parametrize(
    "value", ["[]", "{}", '"ab"', "1.25", "12345", "[[]]", '{"a":1}', "[1.5,2.5,3.5]", '"骨骨"', '{"a":{"b":[null]}}']
)
def test_what_is_read_out_of_a_body_takes_no_more_memory_than_is_counted_for_it(value):
    body = ('{"name":"p","metadata":{"a":[' + ",".join([value] * 20_000) + "]}}").encode()
    from_json(Project, json.loads(b'{"name":"p"}'))
    tracemalloc.start()
    try:
        record = from_json(Project, msgspec.json.decode(body))
        check_json(record)
        written = to_json(record)
        assert tracemalloc.get_traced_memory()[1] + len(body) <= memory_of(body)
    finally:
        tracemalloc.stop()
    assert written["name"] == "p"


def test_a_body_of_more_values_than_fit_is_refused_for_good_and_the_largest_field_is_not():
    async def work():
        answers = []
        for values in (1_400_000, 6_000_000):
            pieces = [b'{"metadata":{"a":[' + b"[]," * values, b"[]]}}"]

            async def receive(pieces=pieces):
                return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

            call = Call(RequestLimits(reading))
            await call(receive, path="/xf/v1/projects")
            answers.append(call.sent[0]["status"])
        return answers

    assert asyncio.run(work()) == [200, 422]


def test_the_place_of_a_body_that_was_on_its_way_is_free_when_it_has_ended():
    limits = RequestLimits(reading, bodies_per_address=1, prompt_seconds=0)

    async def ask():
        async with asyncio.timeout(10):
            pieces = [True, True]

            async def receive():
                await asyncio.sleep(0)
                return {"type": "http.request", "body": b"a", "more_body": bool(pieces) and pieces.pop()}

            return await Call(limits)(receive)

    assert [asyncio.run(ask()) for _ in range(3)] == [200] * 3


def on_a_clock(call, *, pauses, ending, path="/x"):
    """Send a body whose pieces come after pauses of a clock that is set."""
    loop, now, left = asyncio.new_event_loop(), [0.0], list(pauses)
    loop.time = lambda: now[0]

    async def receive():
        if not left:
            return {"type": "http.request", "body": b"a", "more_body": False}
        now[0] += left.pop(0)
        await (turns() if left or not ending else stalled())
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def turns():
        for _ in range(3):  # so that what the clock starts comes first
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(call(receive, path=path))


def test_a_body_that_stops_between_its_pieces_is_ended_and_one_that_goes_on_is_not():
    assert on_a_clock(Call(RequestLimits(reading)), pauses=[0.0, *[40.0] * 20], ending=False) == 200
    assert on_a_clock(Call(RequestLimits(reading)), pauses=[0.0, *[40.0] * 20, 61.0], ending=True) == 408


@pytest.mark.parametrize(("path", "status"), [("/xf/v1/login", 408), ("/sign-in", 408), ("/xf/v1/projects", 200)])
def test_a_login_is_waited_for_for_ten_seconds_only(path, status):
    assert on_a_clock(Call(RequestLimits(reading)), pauses=[0.0, 9.0, 0.0], ending=False, path=path) == 200
    assert on_a_clock(Call(RequestLimits(reading)), pauses=[0.0, 11.0, 0.0], ending=False, path=path) == status


def test_a_request_that_is_cancelled_is_not_taken_for_one_that_is_late():
    async def work():
        pieces = [{"type": "http.request", "body": b"a", "more_body": True}]
        waits = asyncio.Event()

        async def receive():
            if pieces:
                return pieces.pop()
            waits.set()
            return await stalled()

        task = asyncio.ensure_future(Call(RequestLimits(reading))(receive))
        await waits.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(work())


def test_one_address_has_so_many_bodies_on_their_way_and_whole_requests_go_on():
    async def work():
        limits = RequestLimits(reading, bodies_per_address=2, prompt_seconds=0.01)
        began = [asyncio.Event() for _ in range(2)]

        def slow(event):
            pieces = [{"type": "http.request", "body": b"a", "more_body": True}]

            async def receive():
                if pieces:
                    return pieces.pop()
                event.set()
                return await stalled()

            return receive

        held = [asyncio.ensure_future(Call(limits)(slow(event))) for event in began]
        for event in began:
            await event.wait()

        async def whole():
            return {"type": "http.request", "body": b"", "more_body": False}

        assert await Call(limits)(slow(asyncio.Event())) == 429
        assert await Call(limits)(stalled) == 429
        assert await Call(limits)(whole) == 200
        pieces = [{"type": "http.request", "body": b"", "more_body": more} for more in (False, True)]

        async def in_pieces():
            return pieces.pop()

        async def trickling():
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"a", "more_body": True}

        assert await Call(limits)(in_pieces) == 200
        assert await Call(limits)(trickling) == 429
        held[0].cancel()
        await asyncio.wait({held[0]})
        third = asyncio.ensure_future(Call(limits)(slow(event := asyncio.Event())))
        await event.wait()
        for task in (held[1], third):
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(work())
