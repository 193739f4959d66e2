"""By which proxy a server is reached: the settings, else the environment's usual variables."""

import pytest

from xfworker.adapters.http.network_options import ProxyOptions
from xfworker.api.composition.network import proxy_options

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("pattern", "host", "port", "direct"),
    [
        ("*", "lab.example", 443, True),
        ("lab.example", "lab.example", 443, True),
        ("lab.example", "xf.lab.example", 443, True),
        (".lab.example", "xf.lab.example", 443, True),
        ("*.lab.example", "xf.lab.example", 443, True),
        ("LAB.example", "lab.EXAMPLE.", 443, True),
        ("lab.example", "otherlab.example", 443, False),
        ("lab.example:8443", "lab.example", 8443, True),
        ("lab.example:8443", "lab.example", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "lab.example", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:8443", "10.1.2.3", 8443, True),
        ("10.1.2.3:8443", "10.1.2.3", 443, False),
        ("fd00::/8", "fd00::17", 443, True),
        ("[fd00::17]:8443", "fd00::17", 8443, True),
        ("[fd00::17]:8443", "fd00::17", 443, False),
        ("", "lab.example", 443, False),
        (".", "lab.example", 443, False),
    ],
)
def test_what_is_reached_without_the_proxy(pattern, host, port, direct):
    options = ProxyOptions(proxy=PROXY, no_proxy=["elsewhere.example", pattern])
    assert options.proxy_for(host, port) == (None if direct else PROXY)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_environment_names_the_proxy_where_the_settings_do_not(name):
    found = proxy_options(ProxyOptions(), {name: PROXY, "NO_PROXY": "lab.example, 10.0.0.0/8"})
    assert found.proxy_for("elsewhere.example", 443) == PROXY
    assert found.proxy_for("lab.example", 443) is None
    assert found.proxy_for("10.0.0.1", 443) is None


def test_the_settings_come_before_the_environment():
    own = ProxyOptions(proxy="http://own.example:1", no_proxy=["lab.example"])
    assert proxy_options(own, {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}) == own
    assert proxy_options(ProxyOptions(proxy=""), {"HTTPS_PROXY": PROXY}).proxy_for("lab.example", 443) is None
    assert proxy_options(ProxyOptions(), {}).proxy_for("lab.example", 443) is None
