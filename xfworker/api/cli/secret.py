"""``xfworker secret``: the secret that signs a server's tokens."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.help_text import group_help
from xfworker.domain.errors import UsageError

app = App(
    name="secret",
    help=group_help("Look after the secret that signs a server's tokens.", "xfworker secret rotate --data labdata"),
    help_format="plaintext",
)

_MOST_DAYS = 36500


@app.command
def rotate(
    *,
    data: Path = Path("xfworker-data"),
    keep_days: float = 30.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """
    Make a new secret, which signs all tokens from the server's next start on.

    What the old one signed is good for --keep-days more, unless it ends before. Run it as the
    user of the server, and restart the server afterwards; where several share a database, stop them all, copy the file
    'secret' to the data folder of each, and start them.

    Exit code 0: made; 2: there is no secret there, or it could not be replaced, or called wrongly.
    Example: `xfworker secret rotate --data labdata --keep-days 30`

    Args:
        data: The server's data folder.
        keep_days: How many days tokens of before are still good; 0 signs everybody out at the restart, as after a
            theft. Tokens of programs and workers are to be made anew within these days.
        as_json: Print one JSON document.
    """
    from datetime import timedelta

    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.jwt.secret_file import rotate as make_new
    from xfworker.adapters.jwt.token_signer import fingerprint
    from xfworker.domain.conversion import format_time

    if not 0 <= keep_days <= _MOST_DAYS:  # so written, it refuses nan as well
        raise UsageError(f"--keep-days is between 0 and {_MOST_DAYS}")
    now = SystemClock().now()
    kept = make_new(data / "secret", now=now, former_until=now + timedelta(days=keep_days))
    former = [{"fingerprint": fingerprint(one.secret), "verifies_until": format_time(one.until)} for one in kept.former]
    if as_json:
        print_json({"fingerprint": fingerprint(kept.current), "former": former})
        return 0
    results().print(f"{fingerprint(kept.current)}  signs from the next start of the server on")
    for one in former:
        results().print(f"{one['fingerprint']}  verifies until {one['verifies_until']}")
    messages().print("restart the server now; until then it goes on with the secret of before")
    return 0
