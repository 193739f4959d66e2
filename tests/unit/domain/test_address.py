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
