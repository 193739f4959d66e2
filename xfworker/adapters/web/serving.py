"""Runs the web application on Granian, in this process, until it is asked to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from attrs import define
from granian._granian import ListenerSpec, SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar.types import ASGIApp

from xfworker.domain.errors import ConfigurationError
from xfworker.services.stop_signals import stop_signals

_LISTENING_STEP_SECONDS = 0.005
_HEADER_MILLISECONDS = 20_000
_MOST_CONNECTIONS = 8192
_OWN_DESCRIPTORS = 512
"""Left for files, the database and what else the server opens."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.serve")


@define(frozen=True, kw_only=True)
class ServeOptions:
    """
    Where to serve.

    Attributes:
        host: The address to listen on; loopback unless the operator decides otherwise.
        port: The port; 0 takes a free one.
        tls_certificate: PEM file of the server's certificate; with it the server speaks https.
        tls_key: PEM file of the certificate's key.
        end_with_input: End when standard input ends, so that the server never outlives the process that started it.
        listener: The descriptor of a socket that listens already, which several processes share.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    end_with_input: bool = False
    listener: int | None = None

    @property
    def scheme(self) -> str:
        """What the server speaks."""
        return "https" if self.tls_certificate else "http"


def reachable(host: str) -> str:
    """Give the host to connect to from this computer, where the server listens on all its addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  it was asked for


class _OneSocketServer(Server):
    """
    Binds one socket before anything starts.

    Granian's own server binds anew in each part on Linux, with SO_REUSEPORT: port 0 would become several ports, and two
    servers on one port would share its requests without a word.
    """

    listener: int | None = None

    def _init_shared_socket(self) -> None:
        if self.listener is None:
            shared = ListenerSpec(self.bind_addr, self.bind_port, self.backlog).build()
        else:
            shared = SocketHolder(self.listener, False, self.backlog)  # type: ignore[call-arg]  # noqa: FBT003  its signature
        self._ssp, self._shd, self._sfd = None, shared, shared.get_fd()  # type: ignore[assignment]  # set to None untyped


def serve(
    app: ASGIApp,
    options: ServeOptions,
    *,
    announce: Callable[[int], None],
    before_stop: Callable[[], None] = lambda: None,
) -> None:
    """
    Serve until SIGTERM, SIGINT or, where asked for, the end of standard input.

    Args:
        app: The web application.
        options: Where to serve.
        announce: Called once with the port, when connections are taken.
        before_stop: Ends the application's endless answers: Granian waits for every answer that has begun.

    Raises:
        ConfigurationError: The address is taken, or is not this computer's.
    """
    check_tls(options)
    address, port = (
        free_address(options.host, options.port) if options.listener is None else _address_of(options.listener)
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(app, options, address, port, announce, before_stop))


async def _serve(
    app: ASGIApp,
    options: ServeOptions,
    address: str,
    port: int,
    announce: Callable[[int], None],
    before_stop: Callable[[], None],
) -> None:
    logging.getLogger("_granian").setLevel(logging.WARNING)
    server = _OneSocketServer(
        app,
        address=address,  # Granian takes no names
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        ssl_cert=options.tls_certificate,
        ssl_key=options.tls_key,
        websockets=False,
        backlog=1024,
        # Connections that say nothing cost a descriptor each, so there is room for very many of them, and not for long.
        backpressure=_room_for_connections(),
        # While it finds out which HTTP is spoken, Granian waits for the first bytes without a limit.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_MILLISECONDS),
    )
    server.listener = options.listener
    loop = asyncio.get_running_loop()

    def stop(reason: str) -> None:
        _log.info("xfworker.server_stopping", reason=reason)
        loop.call_soon_threadsafe(before_stop)
        loop.call_soon_threadsafe(server.stop)

    _on_signals(loop, stop)
    if options.end_with_input:
        threading.Thread(target=wait_for_end_of_input, args=(stop,), daemon=True).start()
    announcing = loop.create_task(_announce_when_listening(reachable(address), port, announce))
    await server.serve()
    announcing.cancel()
    _log.info("xfworker.server_stopped")


def _address_of(listener: int) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(listener)) as bound:
        address = bound.getsockname()
        return str(address[0]), int(address[1])


def _room_for_connections() -> int:
    """Allow this process as many open files as the system lets it, and give how many of them may be connections."""
    if sys.platform == "win32":
        return _MOST_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _MOST_CONNECTIONS + _OWN_DESCRIPTORS
    allowed = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    available = enough if soft == resource.RLIM_INFINITY else min(enough, soft)
    return max(available - _OWN_DESCRIPTORS, available // 2)


async def _announce_when_listening(host: str, port: int, announce: Callable[[int], None]) -> None:
    # Granian reports when it starts, not when it listens.
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(_LISTENING_STEP_SECONDS)
            continue
        writer.close()
        announce(port)
        return


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[str], None]) -> None:
    for number in stop_signals():
        if sys.platform == "win32":
            # Not here, where the log's lock may be held by what the signal interrupted.
            signal.signal(number, lambda received, _: loop.call_soon_threadsafe(stop, signal.Signals(received).name))
        else:
            loop.add_signal_handler(number, stop, number.name)


def wait_for_end_of_input(stop: Callable[[str], None]) -> None:
    """Ask to stop when standard input ends."""
    # The other end of this pipe is held by the process that started the server; its death closes it.
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    stop("the process that started it ended")


def free_address(host: str, port: int) -> tuple[str, int]:
    """
    Give the numeric address that a host name stands for, and the port; IPv4 where a name has both.

    Raises:
        ConfigurationError: The address is taken, or is not this computer's.
    """
    # Asked first by a plain bind, because Granian would share a taken port with whoever has it.
    try:
        choices = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = min(choices, key=lambda choice: choice[0] != socket.AF_INET)
        with socket.socket(family, kind) as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
            return str(address[0]), int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigurationError(
            f"could not listen on {host}:{port}: {error.strerror or error}; choose another --port or --host"
        ) from None
    except UnicodeError:
        raise ConfigurationError(
            f"could not listen on {host[:80]!a}: it is not a host name; choose another --host"
        ) from None


def check_tls(options: ServeOptions) -> None:
    """
    Refuse half of a certificate and its key, files that are not there, and a pair that does not fit.

    Raises:
        ConfigurationError: Naming the option and what is wrong; without it the server would speak plain HTTP, or not
            start in a way that says why.
    """
    certificate, key = options.tls_certificate, options.tls_key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        present, missing = ("--tls-certificate", "--tls-key") if key is None else ("--tls-key", "--tls-certificate")
        raise ConfigurationError(f"{present} was given without {missing}; https needs both")
    for option, path in (("--tls-certificate", certificate), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"could not read {option} {path}: {error.strerror or error}") from None
    try:
        # The password is asked for where the key has one; Granian would ask on the terminal and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigurationError(
            f"{certificate} and {key} are not a certificate and its key in PEM without a password: {reason}"
        ) from None
