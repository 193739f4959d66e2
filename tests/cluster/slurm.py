"""A Slurm of one node on this computer: its programs from Debian, its configuration, keys and state in one folder."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

from tests.free_ports import free_port

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
_START_SECONDS = 60.0
_STEP_SECONDS = 0.05
_CONFIGURATION = """\
ClusterName=xfworker
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def reason_for_no_slurm() -> str:
    """Say why there can be no Slurm here; an empty string where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Slurm is started by root, on Linux"
    absent = [name for name in _PROGRAMS if _program(name) is None]
    return (
        f"Slurm is not installed: {', '.join(absent)} (Debian: slurmctld slurmd slurm-client munge)" if absent else ""
    )


@contextmanager
def slurm(folder):
    """
    Start a Slurm that takes four pilots of one core.

    Args:
        folder: An empty folder with a short path, since sockets lie in it.

    Yields:
        The environment variables by which its commands find it.
    """
    host = socket.gethostname().partition(".")[0]
    for name in ("munge", "state", "spool", "logs"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        _CONFIGURATION.format(host=host, folder=folder, controller_port=free_port(), node_port=free_port())
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    munge = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:

        def start(*command):
            program = _program(command[0])
            with (folder / "logs" / command[0]).open("wb") as log:
                process = subprocess.Popen([program, *command[1:]], env=environment, stdout=log, stderr=log)
            stack.callback(_end, process)

        start("munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *munge)
        _wait((folder / "munge" / "socket").exists, folder)
        start("slurmctld", "-D", "-i")
        start("slurmd", "-D", "-N", host)
        _wait(lambda: "idle" in _answer(["sinfo", "-h", "-o", "%t"], environment), folder)
        yield {"SLURM_CONF": str(configuration)}
        _answer(["scancel", "--me", "--signal=KILL", "--full"], environment)


def _program(name):
    # Debian has the daemons where only root looks.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


def _answer(command, environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _wait(ready, folder):
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in (folder / "logs").iterdir())
            raise AssertionError(f"Slurm did not start: {logs}")
        time.sleep(_STEP_SECONDS)


def _end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
