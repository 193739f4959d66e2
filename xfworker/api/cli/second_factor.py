"""``xfworker user login`` and the commands of second factors."""

import io
import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from xfworker.api.cli.account_requests import account_serial, ask, typed_secret
from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.errors import AuthenticationFailed, SecondFactorNeeded, UsageError

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client

Flag = Annotated[bool, Parameter(negative="")]

_TRIES = 3


def login(name: str, *, code: str | None = None, password_stdin: Flag = False, server: Server = None) -> int:
    """
    Sign in with a password, and where the account has one a second factor, and print the session's token.

    Set the token as XFWORKER_SERVER_TOKEN. The session ends when it is not used for days; programs are better off with
    a token of their own: xfworker user token.

    Exit code 0: signed in; 1: refused; 2: a code is needed, and there is no terminal to ask at.
    Example: `xfworker user login anna --server https://xf.lab`

    Args:
        name: The account's name.
        code: The present code of the authenticator application, or a recovery code; it is asked for where it is needed.
        password_stdin: Read the password from the first line of standard input instead of asking for it.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    body = {"name": name, "password": typed_secret("password", stdin=password_stdin)}
    doing = f"sign in as {name}"
    with linked(server, signs_in=True) as client:
        try:
            made = ask(client, "POST", "login", doing, body | ({} if code is None else {"code": code}))
        except SecondFactorNeeded:
            typed = _asked_code("code of your authenticator application, or a recovery code")
            made = ask(client, "POST", "login", doing, {**body, "code": typed})
    messages().print(f"signed in until {made['expires_at']} at the latest")
    results().print(made["token"], soft_wrap=True)
    return 0


def second_factor(name: str, *, server: Server = None, as_json: Json = False) -> int:
    """
    Show whether an account has a second factor, and how many recovery codes are left.

    Exit code 0: shown; 1: it is another user's account, or there is none. Example: `xfworker user second-factor anna`

    Args:
        name: The account's name.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        state = ask(client, "GET", _path(client, name), f"look at the second factor of {name}")
    if as_json:
        print_json(state)
        return 0
    demanded = "; this server demands one" if state["is_demanded"] else ""
    if state["set_up_at"] is None:
        results().print(f"{name} has no second factor{demanded}")
    else:
        left = state["recovery_codes_left"]
        results().print(f"{name} has one since {state['set_up_at']}; {left} recovery codes are left{demanded}")
    return 0


def set_up_second_factor(
    name: str, *, code: str | None = None, password_stdin: Flag = False, server: Server = None
) -> int:
    """
    Set up the second factor of your own account, and print its recovery codes, only now.

    It asks for your password, shows what your authenticator application needs, and asks for the code that it shows
    then, from standard input. From there on your password alone signs nobody in; tokens of programs go on as they are,
    other sessions end.

    Exit code 0: set up; 1: refused; 2: there is no terminal to ask at.
    Example: `xfworker user set-up-second-factor anna`

    Args:
        name: Your account's name.
        code: A code of the second factor that you have already, or a recovery code, where you set it up anew.
        password_stdin: Read the password from the first line of standard input instead of asking for it.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    proof = _proof("password", code, stdin=password_stdin)
    with linked(server) as client:
        path = _path(client, name)
        begun = ask(client, "POST", path, f"begin to set up the second factor of {name}", proof)
        _show(begun)
        for attempt in range(_TRIES):
            body = {"code": _asked_code("code that the application shows now", or_stdin=True)}
            try:
                confirmed = ask(client, "POST", f"{path}/confirmation", "confirm the second factor", body)
                break
            except AuthenticationFailed as error:
                if attempt == _TRIES - 1:
                    raise
                messages().print(str(error))
    messages().print("set up. Each of these recovery codes stands for the application once; they are shown only now:")
    for recovery_code in confirmed["recovery_codes"]:
        results().print(recovery_code)
    return 0


def remove_second_factor(
    name: str, *, code: str | None = None, password_stdin: Flag = False, server: Server = None
) -> int:
    """
    Remove a second factor: your own, or as an administrator one that somebody has lost. Sessions of the account end.

    Who removes their own gives its password and --code. Administrators make sure that it is the person who asks.

    Exit code 0: removed; 1: refused, or there is none. Example: `xfworker user remove-second-factor anna`

    Args:
        name: The account's name.
        code: A code of your own second factor, or a recovery code; administrators need none for others.
        password_stdin: Read your password, where --code is given, from the first line of standard input.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    proof = {} if code is None else _proof("password", code, stdin=password_stdin)
    with linked(server) as client:
        path = _path(client, name)
        ask(client, "POST", f"{path}/removal", f"remove the second factor of {name}", proof)
    return 0


def _proof(prompt: str, code: str | None, *, stdin: bool) -> dict[str, str]:
    return {"password": typed_secret(prompt, stdin=stdin), **({} if code is None else {"code": code})}


def _path(client: "Client", name: str) -> str:
    return f"accounts/{account_serial(client, name)}/second-factor"


def _show(begun: Any) -> None:
    import segno

    drawn = io.StringIO()
    segno.make_qr(begun["link"]).terminal(drawn, compact=True)
    if sys.stderr.isatty():
        messages().print(drawn.getvalue(), soft_wrap=True)
    messages().print("scan this with your authenticator application, or give it the secret or the link:")
    messages().print(f"secret: {begun['secret']}")
    messages().print(f"link: {begun['link']}", soft_wrap=True)


def _asked_code(prompt: str, *, or_stdin: bool = False) -> str:
    if not sys.stdin.isatty() and not or_stdin:
        raise UsageError("the account has a second factor, and there is no terminal to ask for its code; give --code")
    messages().print(f"{prompt}: ", end="")
    return sys.stdin.readline().strip()
