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
from tests.free_ports import free_port
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


class Nginx:
    """nginx before some servers, set up as the documentation says."""

    def __init__(self, folder, port, upstreams):
        """
        Prepare.

        Args:
            folder: Does not exist yet.
            port: Where it is to answer, on loopback.
            upstreams: The ports of two servers.
        """
        self._folder, self._port, self._upstreams = folder, port, upstreams
        self._process = None

    def __enter__(self):
        self._folder.mkdir()
        configuration = self._folder / "nginx.conf"
        configuration.write_text(_AROUND.format(folder=self._folder, documented=self._documented()))
        command = ["nginx", "-p", str(self._folder), "-c", str(configuration)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def _documented(self):
        """Give what the documentation says, at our addresses."""
        [text] = _NGINX.findall(_PAGE.read_text(encoding="utf-8"))
        for number, port in enumerate(self._upstreams, 1):
            text = text.replace(f"server-{number}.lab:8080", f"127.0.0.1:{port}")
        text = re.sub(r"ssl_certificate.*;", "", text).replace("listen 443 ssl;", f"listen 127.0.0.1:{self._port};")
        assert ".lab" not in text.replace("server_name xf.lab", "")
        return text


class Balanced:
    """
    Servers that know nothing of each other, each with a port and a data folder of its own, and nginx before them.

    Each is started again when it ends, as a service is; nginx is set up as the documentation says.

    Attributes:
        url: Where nginx answers.
    """

    def __init__(self, data, database, *, port, **options):
        self.url = f"http://127.0.0.1:{port}"
        folders = [data, data.with_name(f"{data.name}-2")]
        self._servers = [Server(folder, database, port=free_port(), **options) for folder in folders]
        self._nginx = Nginx(data.with_name("nginx"), port, [server.own_port for server in self._servers])
        self._is_wanted = False
        self._lock = threading.RLock()

    def __enter__(self):
        first, second = self._servers
        first.start()
        second.data.mkdir(mode=0o700)
        shutil.copy(first.data / "secret", second.data / "secret")
        self.start()
        self._nginx.__enter__()
        return self

    def __exit__(self, *_):
        self.stop()
        self._nginx.__exit__()

    @property
    def admin_token(self):
        return self._servers[0].admin_token

    def start(self):
        """Start those that do not run."""
        self._is_wanted = True
        for server in self._servers:
            self._start(server)

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
