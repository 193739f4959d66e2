"""
The command line's root: names the commands, and turns every error into one sentence and an exit code.

Commands live in modules of their own, which are imported when their command is used. A command is a function; what it
returns is the exit code (``None`` is 0). Results go to stdout, everything else to stderr.
"""

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from xfworker import __version__
from xfworker.api.cli.console import prepare_output, say
from xfworker.api.kept_stderr import discard
from xfworker.api.logging import write_command_log
from xfworker.domain.errors import ConfigurationError, UsageError, XFWorkerError

if TYPE_CHECKING:
    from cyclopts import App


class ExitCode(IntEnum):
    """What the command line's exit codes mean."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    HANDED_OVER = 3


class Command(NamedTuple):
    """A command, the module that holds it, its help, and the extra of the package that it needs."""

    name: str
    module: str
    help: str
    extra: str


COMMANDS = (
    Command("demo", "xfworker.api.cli.demo", "Run a workflow on a phantom and compare with the known answer.", "all"),
    Command("run", "xfworker.api.cli.run", "Run a task script or a task type package on a server of its own.", "all"),
    Command("serve", "xfworker.api.cli.serve", "Serve projects, workflows, jobs and files over HTTP.", "server"),
    Command("worker", "xfworker.api.cli.worker", "Run the jobs of a server on this computer.", "all"),
    Command("cluster", "xfworker.api.cli.cluster", "Run workers as pilots on a batch system.", "cli"),
    Command("package", "xfworker.api.cli.package", "Make, check, pack and install packages.", "cli"),
    Command("capture", "xfworker.api.cli.capture", "Record jobs of a real platform, and look into captures.", "cli"),
    Command("workflow", "xfworker.api.cli.workflow", "Import workflows, start them and look after them.", "cli"),
    Command("project", "xfworker.api.cli.project", "List projects.", "cli"),
    Command("task", "xfworker.api.cli.task", "List tasks.", "cli"),
    Command("job", "xfworker.api.cli.job", "List jobs, look at them, restart and abort them.", "cli"),
    Command("file", "xfworker.api.cli.file", "List, store, fetch and remove files of a server.", "cli"),
    Command("image", "xfworker.api.cli.image", "Look at images, convert them and cut slices.", "cli"),
    Command("config", "xfworker.api.cli.config", "Show and check the settings in force.", "cli"),
    Command("user", "xfworker.api.cli.user", "Look after the accounts of a server.", "server"),
    Command("secret", "xfworker.api.cli.secret", "Make a new secret for a server's tokens.", "server"),
    Command("backup", "xfworker.api.cli.backup", "Back up a server's data while it runs.", "server"),
    Command("restore", "xfworker.api.cli.restore", "Bring back a server's data from a backup.", "server"),
    Command("migrate", "xfworker.api.cli.migrate", "Move a server's data to another database and store.", "server"),
    Command("doctor", "xfworker.api.cli.doctor", "Check the installation and a server's data.", "server"),
)
"""Every command in the order of the help; a command whose module is not in this installation is left out."""


_HELP = """
Run micro-CT task scripts, and the server, workers and images around them.

Exit code 0: done; 1: failed; 2: called wrongly; 3: handed over to a person.
Example: `xfworker run threshold.py image@scan.aim lower=320`
"""

_NAMED = ("numpy", "urllib3", "attrs", "cattrs", "structlog", "litestar", "sqlalchemy", "zarr")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        arguments: The words behind ``xfworker``; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed, 2 usage, 3 handed over to a person.
    """
    try:
        from cyclopts import CycloptsError
    except ModuleNotFoundError:
        return _fail("the command line needs more packages; install them with: pip install 'xfworker[cli]'", 1)
    prepare_output()
    write_command_log()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = command_line(words[:1])(words, exit_on_error=False, print_error=True, result_action="return_value")
        # Here, where an error is still one sentence, and not when the interpreter ends.
        sys.stdout.flush()
    except CycloptsError:
        return ExitCode.USAGE
    except (UsageError, ConfigurationError) as error:
        return _fail(str(error), ExitCode.USAGE, error.code)
    except (XFWorkerError, OSError, ImportError, KeyboardInterrupt) as error:
        return _expected_failure(error, words)
    return int(code) if isinstance(code, int) else ExitCode.DONE


def command_line(shown: Sequence[str]) -> "App":
    """
    Give the command line with every command.

    Args:
        shown: The commands that show their own help. The others, whose modules are not imported, show one line.
    """
    from importlib.util import find_spec

    from cyclopts import App, Parameter

    from xfworker.api.cli.help_text import shown_default
    from xfworker.api.cli.integers import with_exact_integers

    root = App(
        name="xfworker",
        help=_HELP,
        version=_versions,
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
        default_parameter=Parameter(converter=with_exact_integers, show_default=shown_default),
    )
    for command in COMMANDS:
        if find_spec(command.module) is not None:
            own = {} if command.name in shown else {"help": command.help}
            root.command(f"{command.module}:app", name=command.name, **own)
    root.register_install_completion_command(help="Let the shell complete commands and options: bash, zsh, fish.")
    return root


def _versions() -> str:
    """Give the versions that a report of a problem needs."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    lines = [
        f"xfworker {__version__}",
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
    ]
    for name in _NAMED:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)


def documented_commands() -> str:
    """Give the help of all commands as Markdown."""
    return command_line([command.name for command in COMMANDS]).generate_docs(output_format="markdown")


def _expected_failure(error: BaseException, words: Sequence[str]) -> int:
    if isinstance(error, KeyboardInterrupt):
        return _fail("interrupted", ExitCode.FAILED)
    if isinstance(error, BrokenPipeError):
        # The reader of our output went away (`xfworker ... | head`); the interpreter must not try to flush again.
        discard(sys.stdout)
        return ExitCode.FAILED
    if isinstance(error, ImportError):
        return _missing_part(error, words)
    return _fail(str(error), ExitCode.FAILED, error.code if isinstance(error, XFWorkerError) else None)


def _missing_part(error: ImportError, words: Sequence[str]) -> int:
    command = next((command for command in COMMANDS if command.name in words[:1]), None)
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    if command is None or (cause.name or "").split(".")[0] == "xfworker":
        raise error
    return _fail(
        f"`xfworker {command.name}` needs the package {cause.name!r}, which is not installed; install it with: "
        f"pip install 'xfworker[{command.extra}]'",
        ExitCode.FAILED,
    )


def _fail(message: str, code: int, section: str | None = None) -> int:
    place = "" if section is None else f" [docs: reference/errors.md#{section}]"
    say(f"xfworker: {message}{place}")
    return code
