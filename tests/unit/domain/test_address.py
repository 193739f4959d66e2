import re

import pytest

from xfworker.domain.address import Address, is_loopback
from xfworker.domain.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://xf.lab.example", "https://xf.lab.example:443"),
        ("http://localhost", "http://localhost:80"),
        ("https://[2001:DB8::7]:8443/xamflow/", "https://[2001:db8::7]:8443/xamflow"),
        ("HTTPS://XF:1/a?b#c", "https://xf:1/a"),
    ],
)
def test_an_address_is_read_whole(url, whole):
    address = Address.read(url)
    assert str(address) == whole
    assert Address.read(str(address)) == address


@pytest.mark.parametrize("url", ["", "xf:1", "ftp://xf", "https://", "http://[::1", "http://xf:x", "https://a:b@xf"])
def test_what_is_not_an_address_is_refused_without_being_shown(url):
    with pytest.raises(ConfigurationError) as caught:
        Address.read(url)
    assert str(caught.value) == "a server's address looks like https://host:port; this one does not"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080",
        "https://localhost:8080",
        "http://[::1]:1",
        "https://[2001:db8::7]:443",
        "http://[2001:db8::7]:80/xamflow",
        "https://xf.lab.example:8443/xamflow",
    ],
)
def test_the_stated_host_and_the_port_give_the_address_back(url):
    address = Address.read(url)
    assert Address.of_host(address.stated_host, address.port) == address


def test_the_stated_host_is_no_longer_than_it_must_be():
    assert Address.read("https://xf.lab.example:8443").stated_host == "xf.lab.example"
    assert Address.read("http://[::1]:8080").stated_host == "::1"


def test_this_computer_is_known_by_its_names_and_addresses():
    assert all(map(is_loopback, ["localhost", "LOCALHOST", "xf.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["localhost.example", "128.0.0.1", "::2", "xf", ""]))


@pytest.mark.parametrize("host", ["lab.example:443", "https://lab.example:443", "lab?x=1", "lab#x", "https://"])
def test_a_host_that_states_more_than_itself_is_refused(host):
    with pytest.raises(ValueError, match=re.escape(host)):
        Address.of_host(host, 443)


def test_paths_end_without_a_slash_and_ports_are_those_of_the_scheme():
    read = Address.read("https://lab.example/xamflow//")
    assert (read.port, read.path, Address.read("http://lab.example").port) == (443, "/xamflow", 80)
    assert Address(scheme="https", host="lab", port=1).path == ""
    assert (
        Address.read("https://lab.example/labX").path == Address.of_host("https://lab.example/labX", 1).path == "/labX"
    )
    assert Address.of_host("https://lab.example/xamflow/", 8443).path == "/xamflow"
    assert Address.of_host("lab.example/xamflow/", 8443).stated_host == "https://lab.example/xamflow"


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("a.LOCALHOST", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("[::1]", True),
        ("127.0.0.1X", False),
        ("lab", False),
    ],
)
def test_this_computer_is_known_by_any_of_its_names(host, is_own):
    assert is_loopback(host) is is_own
    assert Address(scheme="http", host=host.strip("[]"), port=80).is_loopback is is_own


def test_an_ipv6_address_has_its_brackets_and_a_host_with_a_port_none():
    assert Address(scheme="http", host="::1", port=80).at == "[::1]:80"
    assert Address.of_host("[::1]", 80).origin == "http://[::1]:80"
    assert Address(scheme="http", host="a:b", port=80).at == "a:b:80"
