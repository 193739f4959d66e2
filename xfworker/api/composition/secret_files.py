"""Secrets that settings name a file of, such as one that a vault mounts."""

from pathlib import Path

from xfworker.api.settings.model import FilesSettings
from xfworker.domain.errors import ConfigurationError


def read_secret(path: Path, what: str) -> str:
    """
    Give the secret that a file holds, without the white space around it.

    Args:
        path: The file.
        what: What it holds, as an error names it.

    Raises:
        ConfigurationError: The file cannot be read, or is empty.
    """
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the {what} file {path} cannot be read: {error}") from None
    if not secret:
        raise ConfigurationError(f"the {what} file {path} is empty")
    return secret


def bucket_secret_key(files: FilesSettings) -> str | None:
    """
    Give the secret of a bucket's credentials, or ``None`` where the environment has it.

    Raises:
        ConfigurationError: Its file cannot be read, or is empty.
    """
    if files.secret_key is None and files.secret_key_file is not None:
        return read_secret(files.secret_key_file, "secret key")
    return files.secret_key
