"""How programs find the server that runs on a data folder."""

import json
import os
import stat
import sys
from contextlib import ExitStack

import pytest
from attrs import evolve

from xfworker.adapters.memory.clock import ManualClock
from xfworker.api.composition.client import awaited_server
from xfworker.api.composition.endpoint_file import (
    ServerEndpoint,
    endpoint_path,
    read_endpoint,
    running_endpoint,
    server_lock,
    write_endpoint,
)
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import UsageError

ENDPOINT = ServerEndpoint(host="127.0.0.1", port=8080, scheme="http", pid=os.getpid(), admin_token="token")


def test_a_server_is_found_while_it_runs(tmp_path):
    with server_lock(tmp_path) as is_held:
        write_endpoint(endpoint_path(tmp_path), ENDPOINT)
        assert is_held
        assert running_endpoint(tmp_path) == ENDPOINT


def test_what_a_crash_left_is_not_taken_for_a_server_whoever_has_its_process_number(tmp_path):
    write_endpoint(endpoint_path(tmp_path), ENDPOINT)
    assert running_endpoint(tmp_path) is None


def test_the_administrators_token_is_for_the_servers_user_only_and_not_shown(tmp_path):
    path, before = endpoint_path(tmp_path), os.umask(0)
    try:
        write_endpoint(path, ENDPOINT)
    finally:
        os.umask(before)
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert "secret" not in repr(evolve(ENDPOINT, admin_token="the-secret-token"))


def test_whoever_reads_while_it_is_written_has_one_endpoint_or_the_other(tmp_path, monkeypatch):
    path, dump, seen = endpoint_path(tmp_path), json.dump, []
    write_endpoint(path, ENDPOINT)

    def half(value, file):
        file.write("not whole")
        file.flush()
        seen.append(read_endpoint(path))
        file.seek(0)
        file.truncate()
        dump(value, file)

    monkeypatch.setattr(json, "dump", half)
    later = evolve(ENDPOINT, port=8081)
    write_endpoint(path, later)
    assert [*seen, read_endpoint(path)] == [ENDPOINT, later]


def test_a_folder_without_a_server_stays_as_it_is(tmp_path):
    assert running_endpoint(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_second_server_on_a_folder_does_not_get_its_lock(tmp_path):
    with server_lock(tmp_path) as first, server_lock(tmp_path) as second:
        assert (first, second) == (True, False)
    with server_lock(tmp_path) as again:
        assert again


def test_a_worker_waits_for_a_server_that_was_killed_until_it_runs_again(tmp_path):
    write_endpoint(endpoint_path(tmp_path), ENDPOINT)
    with ExitStack() as server:

        class UntilTheServerIsBack(ManualClock):
            def sleep(self, seconds):
                super().sleep(seconds)
                if self.monotonic() > 3:
                    server.enter_context(server_lock(tmp_path))

        address = awaited_server(str(tmp_path), Settings(), UntilTheServerIsBack())
    assert (address.url, address.token) == (ENDPOINT.url, ENDPOINT.admin_token)


def test_a_worker_does_not_wait_where_no_server_was_killed(tmp_path):
    with pytest.raises(UsageError, match="no server runs on that folder"):
        awaited_server(str(tmp_path), Settings(), ManualClock())
