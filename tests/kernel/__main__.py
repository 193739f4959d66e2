"""
Runs the tests of control groups under a Linux kernel of their own: ``make control-groups``.

Whether a machine hands control groups of version 2 to a process depends on how it is set up; User Mode Linux is a
kernel that runs as a process of any user, with the files of this machine, its own memory and its own groups. On Debian
it is the package ``user-mode-linux``. Exit code 0: all passed; 1: something failed; 2: there is no such kernel here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PROGRAM = "linux.uml"
_MEMORY = "2G"
_MOST_SECONDS = 600
_ENDED = re.compile(r"^the tests ended with (\d+)\s*$", re.MULTILINE)
_TESTS = ("tests/integration/test_control_groups.py",)


def main() -> int:
    program = shutil.which(_PROGRAM)
    if program is None:
        sys.stderr.write(f"NOT RUN: there is no {_PROGRAM} here (on Debian: apt install user-mode-linux)\n")
        return 2
    # The kernel's memory is a file that nobody else sees, in TMPDIR.
    memory_folder = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    command = [
        *(program, f"mem={_MEMORY}", "rootfstype=hostfs", "root=/dev/root", "rootflags=/", "rw", "quiet", "panic=1"),
        *(f"init={Path(__file__).with_name('first_process.sh')}", "con=null", "con0=null,fd:1", "ssl=null"),
        # What the kernel does not know becomes the environment of its first process.
        *(f"XF_ROOT={_ROOT}", f"XF_PYTHON={sys.executable}", f"XF_TESTS={','.join(sys.argv[1:] or _TESTS)}"),
    ]
    output = b""
    # A group of its own: its processes are processes here as well.
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": memory_folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as kernel:
        assert kernel.stdout is not None

        def end(*_: object) -> None:
            os.killpg(kernel.pid, signal.SIGKILL)

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        deadline = threading.Timer(_MOST_SECONDS, end)
        deadline.start()
        for line in kernel.stdout:
            output += line
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
        deadline.cancel()
    ended = _ENDED.search(output.decode(errors="replace"))
    if ended is None:
        sys.stderr.write(f"the kernel ended ({kernel.returncode}) before the tests did\n")
    return int(ended is None or ended[1] != "0")


if __name__ == "__main__":
    sys.exit(main())
