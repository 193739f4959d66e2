"""What the file service answers, and what it keeps to itself."""

import asyncio
import base64
import hashlib
import json
import os
from types import SimpleNamespace

import pytest

from tests.unit.platform.test_file_rights import PATCH, TUS, Lab
from xfworker.adapters.transfer.upload_description import UploadDescription
from xfworker.adapters.web.fss import service
from xfworker.domain.files import VERBS, Scope, parse_resource

PLACE = parse_resource("userdata/page.html")
CONTENT = b"<script>alert(1)</script>"
NOBODY = SimpleNamespace(token="nothing")


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


@pytest.fixture
def token(lab):
    return lab.server().file_token([Scope(verb, PLACE) for verb in VERBS])


@pytest.fixture
def stored(lab):
    def put(content=CONTENT):
        path = lab.store.layout.path(PLACE)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return put


def ask(lab, *arguments, **options):
    async def within_seconds():
        async with asyncio.timeout(10):
            return await lab.ask(*arguments, **options)

    return asyncio.run(within_seconds())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_takes_no_file_for_a_page(lab, token, stored, method):
    stored()
    answer = ask(lab, method, f"files/{PLACE}", token)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment;")


def test_what_is_as_good_as_a_token_is_kept_by_nobody(lab, token, stored):
    stored(os.urandom((1 << 20) + 1))
    lab.store.download_url = lambda _: "https://bucket.example/signed"
    redirect = ask(lab, "GET", f"files/{PLACE}", token, headers={"xf-takes-redirects": "?1"})
    assert (redirect.status, redirect.headers["location"]) == (307, "https://bucket.example/signed")
    assert redirect.headers["cache-control"] == "no-store"
    assert ask(lab, "GET", f"files/{PLACE}", token).status == 200


def test_how_far_an_upload_is_is_asked_anew_each_time(lab, token):
    created = ask(lab, "POST", "uploads", token, headers={**TUS, "upload-length": "5", "upload-metadata": "name YQ=="})
    assert created.status == 201
    answer = ask(lab, "HEAD", f"uploads/{created.headers['location'].rpartition('/')[2]}", token, headers=TUS)
    assert (answer.headers["upload-offset"], answer.headers["cache-control"]) == ("0", "no-store")


@pytest.mark.parametrize(
    "name", ["..%2f..%2fuserdata%2fown", "%2e%2e/%2e%2e/userdata/own", "..", "", "0" * 31, "G" * 32]
)
def test_what_somebody_stored_is_never_taken_for_an_upload(lab, token, name):
    description = UploadDescription(identifier="", resource=parse_resource("userdata/of-another.raw"), size=5)
    folder = lab.store.layout.root / "userdata" / "own"
    folder.mkdir(parents=True)
    (folder / "info.json").write_text(description.to_text())
    (lab.store.layout.private / "uploads").mkdir(parents=True)
    everything = lab.server().file_token([Scope(verb, parse_resource("userdata")) for verb in VERBS])
    answer = ask(lab, "HEAD", f"uploads/{name}", everything, headers=TUS)
    assert answer.status in {404, 405}


def begun(lab, token, **fields):
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    headers = {**TUS, "upload-length": str(len(CONTENT)), "upload-metadata": metadata}
    created = ask(lab, "POST", "uploads", token, headers=headers)
    assert created.status == 201
    return f"uploads/{created.headers['location'].rpartition('/')[2]}"


@pytest.mark.parametrize(("promised", "status"), [(CONTENT, 204), (b"something else", 460)])
def test_an_upload_is_what_was_promised_when_it_began(lab, token, promised, status):
    upload = begun(lab, token, resource=str(PLACE), sha256=hashlib.sha256(promised).hexdigest())
    assert ask(lab, "PATCH", upload, token, CONTENT, headers=PATCH).status == status
    assert lab.store.layout.path(PLACE).exists() == (status == 204)


def test_a_request_that_waits_for_bytes_of_a_cut_link_keeps_nobody_waiting(lab, token):
    upload = begun(lab, token, resource=str(PLACE))

    async def both():
        waits, sent = asyncio.Event(), []

        async def stalled():
            waits.set()
            await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        fields = {**PATCH, "authorization": f"Bearer {token.token}"}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        scope = {"type": "http", "method": "PATCH", "path": f"/fss/v1/{upload}", "headers": headers}
        older = asyncio.ensure_future(lab.service(scope, stalled, send))
        async with asyncio.timeout(10):
            await waits.wait()
            newer = await lab.ask("HEAD", upload, token, headers=TUS)
            await older
        return newer, sent

    newer, sent = asyncio.run(both())
    assert (newer.status, newer.headers["upload-offset"], sent) == (200, "0", [])


def test_an_error_of_the_service_is_said_without_its_details(lab, token, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(lab.store, "stat", failing)
    monkeypatch.setattr(lab.store, "open_file", failing)
    answer = ask(lab, "GET", f"files/{PLACE}", token)
    assert answer.status == 500
    assert b"secret" not in answer.body


def test_a_file_that_becomes_shorter_while_it_is_read_is_never_sent_as_a_whole(lab, token, stored, monkeypatch):
    path, opened = stored(), lab.store.open_file

    def shrinking(*arguments, **options):
        found = opened(*arguments, **options)
        os.truncate(path, path.stat().st_size - 1)
        return found

    monkeypatch.setattr(lab.store, "open_file", shrinking)
    answer = ask(lab, "GET", f"files/{PLACE}", token)
    assert answer.status == 409
    assert answer.headers["content-length"] == str(len(answer.body))


def test_a_registration_is_small(lab, token, stored):
    stored()
    body = json.dumps({"resource": str(PLACE), "size": 1, "sha256": "0" * 64}).encode()
    assert ask(lab, "POST", "registrations", token, body).status == 460
    assert ask(lab, "POST", "registrations", token, b" " * 65_000, b" " * 65_000, body).status == 400


def test_a_stranger_whose_body_does_not_come_is_answered_soon(lab, monkeypatch):
    monkeypatch.setattr(service, "_DRAIN_SECONDS", 0.01)
    sent = []

    async def stalled():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async def request():
        scope = {"type": "http", "method": "PUT", "path": f"/fss/v1/files/{PLACE}", "headers": []}
        async with asyncio.timeout(10):
            await lab.service(scope, stalled, send)

    asyncio.run(request())
    assert sent[0]["status"] == 401
