"""Events of a board over HTTP: resumed by their id, for who may see it, and in no way of a server that stops."""

import urllib3

from tests.page.site_data import make_site
from xfworker.api.composition.local_platform import local_platform
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job


def opened(pool, site):
    cookie = pool.request("GET", site.link(), redirect=False).headers["Set-Cookie"].partition(";")[0]

    def stream(**headers):
        url = f"{site.url}/workflows/{site.workflow}/events"
        return pool.request("GET", url, headers={"Cookie": cookie, **headers}, preload_content=False)

    return stream


def until(stream, text):
    """Read a stream up to a text."""
    seen = b""
    while text not in seen:
        piece = stream.read(1)
        assert piece, seen
        seen += piece
    return seen


def test_what_was_missed_is_sent_by_the_id_of_the_last_event(site):
    with urllib3.PoolManager(retries=False) as pool:
        stream = opened(pool, site)
        first = stream()
        identifier = until(first, b"\nevent: beat").rpartition(b"id: ")[2].partition(b"\n")[0]
        first.close()
        job = site.platform.server.create(Job(task_serial=site.judge, state=JobState.READY_FOR_INTERACTIVE))
        again = stream(**{"Last-Event-ID": identifier.decode()})
        assert f'[0,{site.judge},"I",{job.serial}]'.encode() in until(again, b'"version"')
        again.close()
        long_ago = stream(**{"Last-Event-ID": "2020-01-01T00:00:00Z"})
        until(long_ago, b"event: reload")
        long_ago.close()


def test_a_server_stops_at_once_although_pages_are_open(tmp_path):
    with local_platform(tmp_path) as platform, urllib3.PoolManager(retries=False) as pool:
        site = make_site(platform)
        streams = [opened(pool, site)() for _ in range(3)]
        for stream in streams:
            until(stream, b"event: beat")
        platform.embedded.stop()
        # One that waits for its streams is killed after a while; that it ended by itself is in its log.
        assert "xfworker.server_stopped" in (tmp_path / "server.log").read_text()
        for stream in streams:
            stream.close()
