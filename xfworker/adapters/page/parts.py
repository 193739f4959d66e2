"""What every part of the page is made of."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define

from xfworker.adapters.page.live import LiveBoards
from xfworker.adapters.page.rendering import Templates
from xfworker.adapters.page.session import AnyRequest, signed_in
from xfworker.adapters.page.static_files import StaticFiles
from xfworker.ports.served_files import ServedFiles
from xfworker.services.platform.control import PlatformControl
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.server import PlatformServer

PasswordWork = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Does work with passwords, little of it at once."""


@define(frozen=True)
class PageParts:
    """
    What every part of the page is made of.

    Attributes:
        platform: The platform; asked as the one who is signed in, so that the page has the rights that the API has.
        files: The file store.
        passwords: Does work with passwords.
        templates: Makes pages.
        static: The page's own files.
        live: What changes while pages are open.
    """

    platform: Platform
    files: ServedFiles
    passwords: PasswordWork
    templates: Templates
    static: StaticFiles
    live: LiveBoards

    def server(self, request: AnyRequest) -> PlatformServer:
        """Give the XF Server as the one who is signed in sees it."""
        return self.platform.server_for(signed_in(request))

    def control(self, request: AnyRequest) -> PlatformControl:
        """Give workflow control as the one who is signed in has it."""
        return self.platform.control_for(signed_in(request))
