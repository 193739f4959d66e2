"""Where the files of a server are, for commands that serve them or look after them."""

from pathlib import Path

from xfworker.adapters.s3.location import BucketLocation
from xfworker.api.composition.secret_files import bucket_secret_key
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import UsageError


def files_location(named: str | None, settings: Settings) -> Path | BucketLocation | None:
    """
    Give the folder or the bucket of a server's files, or ``None`` for the folder in its data folder.

    Args:
        named: What a person named; it comes before the settings. How a bucket is reached is in the settings.
        settings: The settings in force, by which scripts and workers choose where files go.

    Raises:
        UsageError: They choose a store that no server can offer.
    """
    if named is not None:
        return stated_location(named, settings)
    files = settings.files
    if files.kind == "fss":
        return None
    if files.kind == "folder" and files.folder is not None:
        return files.folder
    if files.kind == "s3":
        return stated_location(files.bucket, settings)
    raise UsageError(
        f"the settings choose files.kind = {files.kind!r}, so the files are not in a folder or bucket that this "
        "command can look into; look after them with that store's own means, and name the folder of the server's own "
        "files with --files"
    )


def stated_location(named: str, settings: Settings) -> Path | BucketLocation:
    """
    Give the folder of a path, or the bucket of ``s3://bucket/prefix`` with how the settings reach it.

    Raises:
        ConfigurationError: The file of the bucket's secret cannot be read.
    """
    if not named.startswith("s3:"):
        return Path(named).absolute()
    files, http = settings.files, settings.http
    return BucketLocation(
        url=named,
        endpoint=files.endpoint,
        region=files.region,
        access_key=files.access_key,
        secret_key=bucket_secret_key(files),
        tls_ca_file=settings.tls.ca_file,
        connect_seconds=http.connect_seconds,
        read_seconds=http.read_seconds,
    )
