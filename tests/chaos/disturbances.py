"""What can befall a cluster, one thing every few seconds, while pilots that went are submitted anew."""

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from tests.chaos.servers import send
from xfworker.domain.errors import ServerUnreachable

_PILOTS = 4
_APART_SECONDS = (1.0, 3.0)
_SUBMIT_SECONDS = 3.0
_GRACE_SECONDS = 4
_AGAIN_SECONDS = 1.0
_SHOWN = 120


class Disturber:
    """
    A thread that disturbs, and one that keeps the number of pilots.

    Attributes:
        counted: How often each thing happened.
        may_lose: How many attempts that can have cost: those of pilots that were killed or suspended.
        seen: The batch jobs that were submitted.
    """

    def __init__(self, server, database, objects, environment, data, drawn, say, *, lease_seconds, timeout_seconds):
        """
        Prepare.

        Args:
            server: The servers.
            database: PostgreSQL.
            objects: The object store.
            environment: The variables by which commands find Slurm and the server.
            data: The folder that pilots share.
            drawn: Draws what happens, to whom and when.
            say: Gets a line about each thing.
            lease_seconds: How long a worker may be silent.
            timeout_seconds: How long a client of the object store waits for an answer.
        """
        self._server, self._database, self._objects, self._environment = server, database, objects, environment
        self._data, self._random, self._say = data, drawn, say
        self._lease_seconds, self._timeout_seconds = lease_seconds, timeout_seconds
        self._ended = threading.Event()
        self._errors = []
        self._threads = [threading.Thread(target=self._kept, args=(work,)) for work in (self._disturb, self._submit)]
        self._kinds = {
            "pilots killed": self._kill_pilot,
            "workers of pilots killed, their scripts not": self._kill_worker,
            "pilots suspended": self._suspend_pilot,
            "workers of pilots suspended, their scripts not": self._suspend_worker,
            "pilots cancelled": self._cancel,
            "pilots preempted with a signal to the worker alone": self._preempt,
            "server processes killed": self._kill_server_process,
            "server processes suspended": self._suspend_server_process,
            "server restarts after a kill": self._kill_server,
            "server restarts in order": self._restart_server,
            "PostgreSQL restarts without a checkpoint": self._restart_database,
            "PostgreSQL stops": self._stop_database,
            "object store suspended": self._suspend_objects,
            "object store killed and started again": self._restart_objects,
        }
        self.counted = dict.fromkeys(self._kinds, 0)
        self.may_lose = 0
        self.seen = set()

    def __enter__(self):
        grace = self._run("cluster", "scale", "--slurm", "1", "--print-template", "--data", self._data).stdout
        self._template = self._data / "grace.sh"
        self._template.write_text(grace.replace("{{command}}", f"{{{{command}}}} --grace {_GRACE_SECONDS}"))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self.require_well()

    def require_well(self):
        """Raise what ended the disturbances, if they ended by themselves."""
        if self._errors:
            raise self._errors[0]

    def _kept(self, work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised at the end
            self._errors.append(error)
            self._say(f"the disturbances ended: {type(error).__name__}: {error}")

    def _disturb(self):
        coming = []
        while not self._ended.wait(self._random.uniform(*_APART_SECONDS)):
            # Each of them as often as the others, in an order of the seed's.
            coming = coming or self._random.sample(list(self._kinds), len(self._kinds))
            kind = coming.pop()
            if self._kinds[kind]():
                self._say(kind)
                self.counted[kind] += 1

    def _submit(self):
        rounds = 0
        while not self._ended.wait(_SUBMIT_SECONDS):
            rounds += 1
            words = ["--slurm", _PILOTS, "--memory-mib", 500, "--minutes", 120, "--ask", "--data", self._data]
            # Every other pilot lets its script go on for some seconds when it is to leave.
            words += ["--template", self._template] if rounds % 2 else []
            self._run("cluster", "scale", *words)
            self.seen |= set(self._pilots())

    # --- pilots -----------------------------------------------------------------------------------------------------

    def _kill_pilot(self):
        return self._signal_pilot(signal.SIGKILL, whole=True)

    def _kill_worker(self):
        return self._signal_pilot(signal.SIGKILL, whole=False)

    def _suspend_pilot(self):
        return self._suspended(whole=True)

    def _suspend_worker(self):
        return self._suspended(whole=False)

    def _cancel(self):
        return self._slurm_one("scancel")

    def _preempt(self):
        return self._slurm_one("scancel", "--signal=TERM", "--batch")

    def _signal_pilot(self, number, *, whole):
        processes = self._processes_of_pilot(whole=whole)
        self.may_lose += bool(processes)
        return send(processes, number)

    def _suspended(self, *, whole):
        processes = self._processes_of_pilot(whole=whole)
        self.may_lose += bool(processes)
        if not send(processes, signal.SIGSTOP):
            return False
        seconds = self._lease_seconds * self._random.uniform(1.2, 2.0)
        threading.Timer(seconds, send, (processes, signal.SIGCONT)).start()
        return True

    def _slurm_one(self, *command):
        pilots = sorted(self._pilots())
        if not pilots:
            return False
        chosen = self._random.choice(pilots)
        done = subprocess.run([*command, chosen], env=self._environment, capture_output=True, check=False)
        return done.returncode == 0

    def _pilots(self):
        command = ["squeue", "--me", "--noheader", "--states=RUNNING", "--format=%i"]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        return done.stdout.split()

    def _processes_of_pilot(self, *, whole):
        """Give the processes of one pilot: all, or the worker alone."""
        pilots = sorted(self._pilots())
        if not pilots:
            return []
        named = f"SLURM_JOB_ID={self._random.choice(pilots)}".encode()
        of_pilot = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if named in (folder / "environ").read_bytes().split(b"\0"):
                    of_pilot[int(folder.name)] = (folder / "cmdline").read_bytes().split(b"\0")
        workers = [process for process, words in of_pilot.items() if b"worker" in words and b"xfworker" in words]
        return list(of_pilot) if whole else workers[:1]

    # --- servers and database ---------------------------------------------------------------------------------------

    def _kill_server_process(self):
        return self._server.kill_process(self._random)

    def _suspend_server_process(self):
        processes = self._server.process(self._random)
        if not send(processes, signal.SIGSTOP):
            return False
        # Heartbeats that it has taken are answered when it goes on, and every pilot may have sent it one.
        self.may_lose += _PILOTS
        threading.Timer(self._lease_seconds * 1.2, send, (processes, signal.SIGCONT)).start()
        return True

    def _kill_server(self):
        self._server.kill()
        self._start_server()
        return True

    def _restart_server(self):
        self._server.stop()
        self._start_server()
        return True

    def _start_server(self):
        """Start the server as a service is started: again and again, while a process of before has the port."""
        while True:
            try:
                self._server.start()
            except ServerUnreachable as error:
                self._say(f"the server did not start: {str(error)[-_SHOWN:]}")
                if self._ended.wait(_AGAIN_SECONDS):
                    raise
            else:
                return

    def _restart_database(self):
        self._database.restart()
        return True

    def _stop_database(self):
        self._database.stop_for(self._random.uniform(0.5, 0.4 * self._lease_seconds))
        return True

    def _suspend_objects(self):
        # Whoever waits for it gives up, and it then does what was asked of it all the same.
        self._objects.suspend()
        try:
            self._ended.wait(self._timeout_seconds * self._random.uniform(1.2, 1.6))
        finally:
            self._objects.go_on()
        return True

    def _restart_objects(self):
        self._objects.kill()
        self._ended.wait(self._random.uniform(0.5, 4.0))
        self._objects.start()
        return True

    def _run(self, *words):
        command = [sys.executable, "-m", "xfworker", *map(str, words)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
