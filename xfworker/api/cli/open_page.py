"""The page of a server of one's own in a browser, for as long as a person looks at it."""

import time
import webbrowser
from typing import TYPE_CHECKING

from xfworker.adapters.http.xf_server import BASE

if TYPE_CHECKING:
    from rich.console import Console

    from xfworker.api.composition.local_platform import LocalPlatform

_LOOK_SECONDS = 0.5


def open_page(platform: "LocalPlatform", path: str, console: "Console") -> None:
    """
    Open a path of the page in the browser, signed in, and wait until Ctrl-C.

    Args:
        platform: The server; its page ends with it.
        path: Where on the page, ``/jobs/1``.
        console: Where the address is printed, for who has no browser here.

    Raises:
        ServerUnreachable: The server ended meanwhile.
    """
    link = platform.transport.request("POST", f"{BASE}/page-links", doing="make a link to the page").json()
    url = f"{platform.embedded.endpoint.url}{link['path']}?next={path}"
    try:
        console.print(f"the page: {url} (the link works once; Ctrl-C ends the page)")
        webbrowser.open(url)
        while True:
            platform.check_alive()
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        console.print("the page is closed")
