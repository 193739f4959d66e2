"""The page from the command line: links that work once, and a run whose page stays open until Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest
import urllib3

from xfworker.api.cli.main import main

SCRIPT = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\nworker.finish({'volume': 1.5})\n"


def follow(url):
    """Follow a link that signs somebody in, and give the page behind it."""
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", url, redirect=False)
        assert answer.status == 303
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        target = answer.headers["Location"]
        page = pool.request(
            "GET", url.partition("/link/")[0] + target, headers={"Cookie": cookie, "Accept": "text/html"}
        )
        return target, page


def test_a_link_is_printed_for_who_has_the_data_folder(site, capsys):
    assert main(["user", "link", "--server", str(site.platform.embedded.data)]) == 0
    target, page = follow(capsys.readouterr().out.strip())
    assert target == "/"
    assert "Bones &lt;b&gt;of&lt;/b&gt; mice" in page.data.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_a_run_is_shown_until_ctrl_c(tmp_path):
    script = tmp_path / "measure.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "xfworker", "run", str(script), "--open", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "BROWSER": "true"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as running:
        assert running.stderr is not None
        line = next(line for line in running.stderr if line.startswith("the page: "))
        target, page = follow(line.split()[2])
        assert target == "/jobs/1"
        assert "1.5" in page.data.decode()
        running.send_signal(signal.SIGINT)
        assert "the page is closed" in running.stderr.read()
    assert running.returncode == 0
