"""Where the server listens and whether it speaks https: said exactly, or refused."""

import socket
from pathlib import Path

import pytest
import trustme

from xfworker.adapters.web.serving import ServeOptions, check_tls, free_address
from xfworker.api.cli.main import main
from xfworker.api.cli.serve import _arguments
from xfworker.api.composition.server_processes import require_several_possible
from xfworker.domain.errors import ConfigurationError, UsageError


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    authority = trustme.CA()
    for name in ("one", "two"):
        made = authority.issue_cert(f"{name}.example")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    (folder / "words").write_text("not a certificate")
    return folder


def test_a_certificate_with_its_key_is_taken(pems):
    check_tls(ServeOptions())
    check_tls(ServeOptions(tls_certificate=pems / "one.pem", tls_key=pems / "one.key"))


@pytest.mark.parametrize(
    ("certificate", "key", "named"),
    [
        ("one.pem", None, "--tls-key"),
        (None, "one.key", "--tls-certificate"),
        ("gone.pem", "one.key", "gone.pem"),
        ("one.pem", "gone.key", "gone.key"),
        ("one.pem", "two.key", "two.key"),
        ("words", "one.key", "words"),
        ("one.pem", "words", "words"),
    ],
)
def test_half_of_tls_is_refused_and_named(pems, certificate, key, named):
    options = ServeOptions(
        tls_certificate=None if certificate is None else pems / certificate, tls_key=None if key is None else pems / key
    )
    with pytest.raises(ConfigurationError, match=named):
        check_tls(options)


def test_serve_refuses_half_of_tls_before_it_makes_anything(pems, tmp_path, capsys):
    command = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--tls-certificate", str(pems / "one.pem")]
    assert main(command) != 0
    assert "--tls-key" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0"])
def test_a_host_name_becomes_a_numeric_address(host):
    address, port = free_address(host, 0)
    socket.inet_aton(address)
    assert port > 0


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example", "not a host"])
def test_a_host_that_is_none_is_refused_by_name(host):
    with pytest.raises(ConfigurationError, match=host[:20]):
        free_address(host, 0)


def test_several_processes_need_a_database_that_several_can_write_to():
    for database in (None, "sqlite:///x.sqlite", "memory:"):
        with pytest.raises(UsageError, match="--processes 2 needs --database postgresql"):
            require_several_possible(2, database)
    with pytest.raises(UsageError, match="at least 1"):
        require_several_possible(0, "postgresql://xf@db/xf")
    require_several_possible(1, None)


def test_each_of_several_processes_is_given_what_the_first_was_but_for_what_is_its_own():
    given = {"data": Path("d"), "files": None, "durable": False, "direct_writes": True, "port": 0, "processes": 4}
    assert _arguments(given) == ["--data", "d", "--no-durable", "--direct-writes", "--port", "0"]
