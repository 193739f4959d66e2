"""Another user of this computer under whose rights scripts run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.domain.errors import UsageError


@define(frozen=True, kw_only=True)
class ScriptUser:
    """
    A user of this computer.

    Attributes:
        name: Its name.
        uid: Its number.
        gid: The number of its group.
        groups: The numbers of all its groups.
        home: Its home folder.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of a process of this user says of it."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}

    @property
    def process_options(self) -> dict[str, Any]:
        """The arguments of ``subprocess.Popen`` by which a process becomes this user's."""
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}

    def give(self, path: Path) -> None:
        """Make a folder or file this user's own."""
        if sys.platform != "win32":
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def share(self, folder: Path) -> None:
        """Let this user make files in a folder, but neither remove nor replace what others have made there."""
        if sys.platform != "win32":
            os.chown(folder, -1, self.gid)
            folder.chmod(0o1770)

    def check(self, folder: Path) -> None:
        """
        Make sure that scripts of this user can start in a folder and find this package.

        Raises:
            UsageError: They cannot.
        """
        try:
            done = subprocess.run(
                [sys.executable, "-c", "import xfworker"],
                cwd=folder,
                env=self.variables,
                capture_output=True,
                check=False,
                **self.process_options,
            )
        except OSError as error:
            raise UsageError(
                f"scripts cannot run as {self.name}: {error.strerror} ({error.filename or folder}); that user must be "
                "able to enter the worker's data folder (--data) and to read this Python installation"
            ) from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise UsageError(
                f"scripts cannot run as {self.name}: this Python installation does not work for that user "
                f"({''.join(said)})"
            )


def find_script_user(name: str) -> ScriptUser:
    """
    Give the user of that name.

    Raises:
        UsageError: There is none, it is the administrator, or this process may not start processes of other users.
    """
    if sys.platform == "win32":
        raise UsageError("--run-as does not exist on Windows; start the worker itself as a user of its own")
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"--run-as {name}: this computer has no user of that name") from None
    if entry.pw_uid == 0:
        raise UsageError(f"--run-as {name}: scripts do not run as the administrator")
    if os.geteuid() != 0:
        raise UsageError(f"--run-as {name}: only a worker that was started by root can run scripts as another user")
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return ScriptUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir)
