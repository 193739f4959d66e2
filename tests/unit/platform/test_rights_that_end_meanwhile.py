"""A request whose body is on its way when its sender loses their rights: it changes and shows nothing any more."""

import asyncio
import json

import pytest

from tests.unit.platform.test_access_matrix import BY, CANARY, XF, fresh  # noqa: F401  a fixture
from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.bookkeeping import PersonalToken
from xfworker.domain.errors import AuthenticationFailed
from xfworker.domain.records import Worker
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN

_READING = {("post", "/xf/v1/combined-query"), ("post", "/xf/v1/fss-tokens"), ("post", "/xf/v1/queue/heartbeats")}
"""What changes nothing that lasts: a heartbeat renews what ended with its token."""


def asked_meanwhile(site, token, verb, path, body, meanwhile):
    """Send a request whose body comes after ``meanwhile``, and give the status and the body of the answer."""
    content = json.dumps(body).encode()
    fields = {"authorization": f"Bearer {token}", "content-length": str(len(content)), "host": "localhost"}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": verb.upper(), "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }  # fmt: skip
    sent = []

    async def receive():
        meanwhile()
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(site.client.app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def sender(site, who, number):
    """Give a token of its own for a caller, and what ends it."""
    accounts = site.platform.accounts_for(ADMIN)
    if who == "worker":
        token = accounts.add_worker_token(f"worker {number}")
        queue = site.platform.queue_for(site.platform.authenticate(token.text))
        site.serials["workers"] = queue.register(Worker(name=f"bench {number}")).serial
        return token.text, lambda: accounts.revoke(token.record.serial)
    if who == "owner":
        token = accounts.add_token(site.accounts["owner"], f"program {number}")
        return token.text, lambda: accounts.revoke(token.record.serial)
    serial = accounts.add(f"admin-{number}", "a-password-of-its-own", administrator=True).serial
    token = accounts.add_token(serial, "program").text
    end = {"administrator": False} if who == "admin" else {"disabled": True}
    return token, lambda: accounts.change(serial, **end)


@pytest.mark.parametrize("seconds", [0, 1], ids=["at once", "after a while"])
def test_what_was_asked_by_who_has_lost_their_rights_when_the_body_comes_is_refused(fresh, seconds):  # noqa: F811
    tried = 0
    for number, (verb, path) in enumerate(XF):
        # What only administrators may is asked by one who is none any more, and the rest by whoever is shut out.
        who = BY[verb, path][0] if (verb, path) in BY else "disabled"
        body, _ = fresh.request_for(verb, path)
        if body is None or ((verb, path) in _READING and not seconds):
            continue
        token, end = sender(fresh, who, number)
        before = []

        def meanwhile(end=end, before=before):
            end()
            fresh.platform.clock.advance(seconds)
            before.append(fresh.snapshot())

        body = json.loads(fresh.filled(json.dumps(body)))
        status, text = asked_meanwhile(fresh, token, verb, fresh.filled(path, path=path), body, meanwhile)
        assert status in (401, 403), (verb, path, text)
        assert CANARY not in text
        assert fresh.snapshot() == before[0], (verb, path)
        tried += 1
    assert tried > 35 - (len(_READING) if not seconds else 0)


class SlowHasher(Argon2PasswordHasher):
    """Hashes as ever; something happens once while it compares."""

    meanwhile = None

    def matches(self, password, hashed):
        is_right = super().matches(password, hashed)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return is_right


@pytest.fixture
def slow():
    """A platform that compares passwords slowly, its hasher, its accounts, and the serial of anna's."""
    hasher, clock = SlowHasher(memory_kib=64, rounds=1), ManualClock()
    platform = Platform(MemoryRecordStore(), clock, MemoryTokenSigner(clock), hasher=hasher)
    accounts = platform.accounts_for(ADMIN)
    return platform, hasher, accounts, accounts.add("anna", "correct horse battery").serial


@pytest.mark.parametrize("change", [{"password": "new horse battery"}, {"disabled": True}])
def test_no_session_begins_with_a_password_that_is_replaced_while_it_is_compared(slow, change):
    platform, hasher, accounts, serial = slow
    hasher.meanwhile = lambda: accounts.change(serial, **change)
    with pytest.raises(AuthenticationFailed):
        accounts.log_in("anna", "correct horse battery")
    with platform.records.transaction(write=False) as transaction:
        assert transaction.find(PersonalToken) == []


@pytest.mark.parametrize("change", [{"password": "new horse battery"}, {"disabled": True}])
def test_whoever_changes_a_password_is_refused_where_it_is_changed_while_the_old_one_is_compared(slow, change):
    platform, hasher, accounts, serial = slow
    thief = platform.accounts_for(platform.authenticate(accounts.log_in("anna", "correct horse battery").text))
    hasher.meanwhile = lambda: accounts.change(serial, **change)
    with pytest.raises(AuthenticationFailed):
        thief.change(serial, current_password="correct horse battery", password="the thief's own battery")
    accounts.change(serial, disabled=False)
    assert accounts.log_in("anna", change.get("password", "correct horse battery"))
