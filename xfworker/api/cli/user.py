"""``xfworker user``: accounts, their tokens, and who sees which project."""

import getpass
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter

from xfworker.api.cli.account_requests import account_serial, ask
from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.second_factor import login, remove_second_factor, second_factor, set_up_second_factor
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.errors import RecordNotFound, UsageError

app = App(
    name="user",
    help=group_help("Look after the accounts of a server.", "xfworker user add anna"),
    help_format="plaintext",
)

app.command(login)
app.command(second_factor, name="second-factor")
app.command(set_up_second_factor, name="set-up-second-factor")
app.command(remove_second_factor, name="remove-second-factor")

Flag = Annotated[bool, Parameter(negative="")]


@app.command
def add(name: str, *, administrator: Flag = False, password_stdin: Flag = False, server: Server = None) -> int:
    """
    Make an account.

    Exit code 0: made; 1: refused, for example because the name is taken. Example: `xfworker user add anna`

    Args:
        name: What the person logs in with.
        administrator: Whether they see and may do everything.
        password_stdin: Read the password from standard input instead of asking for it.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    body = {"name": name, "password": _password(stdin=password_stdin), "administrator": administrator}
    with linked(server) as client:
        made = ask(client, "POST", "accounts", f"make the account {name}", body)
    results().print(f"account {made['serial']}: {made['name']}")
    return 0


@app.command(name="list")
def list_accounts(*, server: Server = None, as_json: Json = False) -> int:
    """
    List the accounts.

    Exit code 0: listed. Example: `xfworker user list --json`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        items = ask(client, "GET", "accounts", "list the accounts")["items"]
    if as_json:
        print_json({"accounts": items})
        return 0
    for item in items:
        flags = [word for word in ("administrator", "disabled") if item[word]]
        results().print("  ".join([str(item["serial"]), item["name"], *flags]))
    return 0


@app.command
def password(name: str, *, password_stdin: Flag = False, server: Server = None) -> int:
    """
    Give an account a new password. All its tokens end.

    Who is not an administrator changes their own, and says the current one as well. Exit code 0: done; 1: refused.
    Example: `xfworker user password anna`

    Args:
        name: The account's name.
        password_stdin: Read the new password from the first line of standard input instead of asking for it, and the
            current one, where it is needed, from the second.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    body = {"password": _password(stdin=password_stdin)}
    current = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else getpass.getpass("current password (administrators leave it empty): ")
    )
    return _change(name, body | ({"current_password": current} if current else {}), server)


@app.command
def disable(name: str, *, server: Server = None) -> int:
    """
    Keep an account out, at once.

    Exit code 0: done; 1: there is no such account. Example: `xfworker user disable anna`

    Args:
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    return _change(name, {"disabled": True}, server)


@app.command
def enable(name: str, *, server: Server = None) -> int:
    """
    Let an account in again.

    Exit code 0: done; 1: there is no such account. Example: `xfworker user enable anna`

    Args:
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    return _change(name, {"disabled": False}, server)


@app.command
def token(
    name: str, *, purpose: str = "", days: float | None = None, worker: Flag = False, server: Server = None
) -> int:
    """
    Make a token and print it, only now.

    Exit code 0: made; 1: refused. Example: `xfworker user token bench-7 --worker --purpose "the bench" --days 90`

    Args:
        name: The account's name; with --worker the computer's name.
        purpose: What the token is for.
        days: After how many days it ends; by default with the token that asks for it, else never.
        worker: Make a token for a computer that runs jobs.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        if worker:
            made = ask(client, "POST", "worker-tokens", f"make a token for worker {name}", {"name": name})
        else:
            path = f"accounts/{account_serial(client, name)}/tokens"
            made = ask(client, "POST", path, f"make a token for {name}", {"name": purpose, "days": days})
    ends = f"ends at {made['expires_at']}" if made["expires_at"] else "never ends"
    messages().print(f"token {made['serial']}, which {ends}; it is shown only now")
    results().print(made["token"], soft_wrap=True)
    return 0


@app.command
def link(*, server: Server = None) -> int:
    """
    Print a link that signs you in on the server's page, once, within ten minutes.

    Exit code 0: printed. Example: `xfworker user link`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        made = ask(client, "POST", "page-links", "make a link to the page")
        url = f"{client.transport.url}{made['path']}"
    messages().print("this link works once, within ten minutes")
    results().print(url, soft_wrap=True)
    return 0


@app.command
def tokens(*, server: Server = None, as_json: Json = False) -> int:
    """
    List tokens, without their values.

    Exit code 0: listed. Example: `xfworker user tokens`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        items = ask(client, "GET", "tokens", "list the tokens")["items"]
    if as_json:
        print_json({"tokens": items})
        return 0
    for item in items:
        ends = item["expires_at"] or "never ends"
        used = [f"session from {item['address']}, used {item['last_used_at']}"] if item["last_used_at"] else []
        parts = [str(item["serial"]), f"account {item['account_serial']}", item["name"], ends, *used]
        results().print("  ".join(parts), soft_wrap=True)
    return 0


@app.command(name="sign-ins")
def sign_ins(name: str, *, server: Server = None, as_json: Json = False) -> int:
    """
    List the tries to sign in to an account in the last 90 days, the newest first.

    Exit code 0: listed; 1: it is another user's account, or there is none. Example: `xfworker user sign-ins anna`

    Args:
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        path = f"accounts/{account_serial(client, name)}/sign-ins"
        items = ask(client, "GET", path, f"list the sign-ins of {name}")["items"]
    if as_json:
        print_json({"sign_ins": items})
        return 0
    for item in items:
        outcome = "signed in" if item["succeeded"] else "refused"
        results().print(f"{item['at']}  {outcome}  by {item['by']}  from {item['address'] or 'unknown'}")
    return 0


@app.command(name="sign-out")
def sign_out(name: str, *, server: Server = None) -> int:
    """
    End all sessions of an account, but for the one that asks; tokens for programs stay.

    Exit code 0: done; 1: it is another user's account, or there is none. Example: `xfworker user sign-out anna`

    Args:
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        ask(client, "DELETE", f"accounts/{account_serial(client, name)}/sessions", f"end the sessions of {name}")
    return 0


@app.command
def revoke(serial: int, *, server: Server = None) -> int:
    """
    Make a token useless from now on.

    Exit code 0: done; 1: there is no such token. Example: `xfworker user revoke 12`

    Args:
        serial: The token's serial.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        ask(client, "DELETE", f"tokens/{serial}", f"revoke token {serial}")
    return 0


@app.command
def share(project: int, name: str, *, server: Server = None) -> int:
    """
    Let an account see a project.

    Exit code 0: done; 1: there is no such project or account. Example: `xfworker user share 3 anna`

    Args:
        project: The project's serial.
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        ask(client, "POST", f"projects/{project}/members", f"share project {project} with {name}", {"name": name})
    return 0


@app.command
def unshare(project: int, name: str, *, server: Server = None) -> int:
    """
    Let an account see a project no longer.

    Exit code 0: done; 1: there is no such project or account. Example: `xfworker user unshare 3 anna`

    Args:
        project: The project's serial.
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        members = ask(client, "GET", f"projects/{project}/members", f"list who sees project {project}")["items"]
        for member in members:
            if member["name"] == name:
                path = f"projects/{project}/members/{member['account_serial']}"
                ask(client, "DELETE", path, f"unshare project {project} with {name}")
                return 0
        raise RecordNotFound(f"project {project} is not shared with {name}")
    return 0


def _change(name: str, body: dict[str, Any], server: str | None) -> int:
    with linked(server) as client:
        ask(client, "PATCH", f"accounts/{account_serial(client, name)}", f"change the account {name}", body)
    return 0


def _password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the password; give it with --password-stdin")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("again: "):
        raise UsageError("the two passwords differ")
    return first
