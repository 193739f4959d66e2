"""What the commands about accounts have in common: questions to the server, and secrets that are typed."""

import getpass
import sys
from typing import TYPE_CHECKING, Any

from xfworker.adapters.http.xf_server import BASE
from xfworker.domain.errors import RecordNotFound, UsageError

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client


def ask(client: "Client", method: str, path: str, doing: str, body: Any = None) -> Any:
    """Ask the server, and give its answer as a JSON value."""
    answer = client.transport.request(method, f"{BASE}/{path}", doing=doing, json_body=body)
    return answer.json() if answer.body else None


def account_serial(client: "Client", name: str) -> int:
    """
    Give the serial of the account of a name.

    Raises:
        RecordNotFound: There is none, or the caller may not see it.
    """
    for item in ask(client, "GET", "accounts", "list the accounts")["items"]:
        if item["name"] == name:
            return int(item["serial"])
    raise RecordNotFound(f"there is no account {name}")


def typed_secret(prompt: str, *, stdin: bool) -> str:
    """
    Read a secret: the next line of standard input, or what is typed without being shown.

    Raises:
        UsageError: There is no terminal to ask at.
    """
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask for the {prompt}; see --help for how to give it")
    return getpass.getpass(f"{prompt}: ")
