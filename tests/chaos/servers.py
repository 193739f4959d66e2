"""Two server processes over one database: on one port under one supervisor, or apart behind nginx."""

import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.chaos.laboratory import Server
from tests.cluster.slurm import free_port
from xfworker.domain.errors import ServerUnreachable

_AGAIN_SECONDS = 1.0
_PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
_NGINX = re.compile(r"```nginx\n(.*?)```", re.DOTALL)
_AROUND = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {documented}
}}
"""


def send(processes, number):
    """Signal processes, and say whether one was there."""
    sent = 0
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
            sent += 1
    return bool(sent)


class Supervised(Server):
    """Processes on one port, under one that looks after them."""

    def process(self, drawn):
        """Draw one of the processes that serve."""
        listed = Path(f"/proc/{self.supervisor}/task").glob("*/children")
        children = [int(word) for path in listed for word in path.read_text().split()]
        return [drawn.choice(children)] if children else []

    def kill_process(self, drawn):
        return send(self.process(drawn), signal.SIGKILL)


class Balanced:
    """
    Servers that know nothing of each other, each with a port and a data folder of its own, and nginx before them.

    Each is started again when it ends, as a service is; nginx is set up as the documentation says.

    Attributes:
        url: Where nginx answers.
    """

    def __init__(self, data, database, *, port, **options):
        self.data, self._port = data, port
        self.url = f"http://127.0.0.1:{port}"
        folders = [data, data.with_name(f"{data.name}-2")]
        self._servers = [Server(folder, database, port=free_port(), **options) for folder in folders]
        self._nginx = None
        self._is_wanted = False
        self._lock = threading.RLock()

    def __enter__(self):
        first, second = self._servers
        first.start()
        second.data.mkdir(mode=0o700)
        shutil.copy(first.data / "secret", second.data / "secret")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._nginx.terminate()
        self._nginx.wait()

    @property
    def admin_token(self):
        return self._servers[0].admin_token

    def start(self):
        """Start those that do not run, and nginx."""
        self._is_wanted = True
        for server in self._servers:
            self._start(server)
        if self._nginx is None:
            self._start_nginx()

    def stop(self):
        self._end(Server.stop)

    def kill(self):
        self._end(Server.kill)

    def process(self, drawn):
        """Draw one of the processes that serve."""
        running = [server.supervisor for server in self._servers if server.ended() is None]
        return [drawn.choice(running)] if running else []

    def kill_process(self, drawn):
        """Kill one of them, which is started again as a service is."""
        killed = send(self.process(drawn), signal.SIGKILL)
        threading.Thread(target=self._start_again, daemon=True).start()
        return killed

    def _end(self, how):
        self._is_wanted = False
        with self._lock:
            for server in self._servers:
                how(server)

    def _start(self, server):
        with self._lock:
            if self._is_wanted and server.ended() is not None:
                server.start()

    def _start_again(self):
        over = threading.Event()
        while self._is_wanted and any(server.ended() for server in self._servers):
            for server in self._servers:
                with suppress(ServerUnreachable):
                    self._start(server)
            over.wait(_AGAIN_SECONDS)

    def _start_nginx(self):
        folder = self.data.with_name("nginx")
        folder.mkdir()
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, documented=self._documented()))
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self._nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def _documented(self):
        """Give what the documentation says, at our addresses."""
        [text] = _NGINX.findall(_PAGE.read_text(encoding="utf-8"))
        for number, server in enumerate(self._servers, 1):
            text = text.replace(f"server-{number}.lab:8080", f"127.0.0.1:{server.port}")
        text = re.sub(r"ssl_certificate.*;", "", text).replace("listen 443 ssl;", f"listen 127.0.0.1:{self._port};")
        assert ".lab" not in text.replace("server_name xf.lab", "")
        return text


@contextmanager
def servers(kind, data, database, **options):
    """Start two server processes in one of the two ways."""
    made = (
        Balanced(data, database, **options)
        if kind == "balanced"
        else Supervised(data, database, processes=2, **options)
    )
    with made as server:
        yield server
