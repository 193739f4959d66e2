"""Opens a bucket."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from xfworker.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import S3Store


def open_bucket(
    url: str,
    *,
    endpoint: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str | None = None,
    tls_ca_file: Path | None = None,
    connect_seconds: float = 10.0,
    read_seconds: float = 60.0,
    checked_by_store: bool = False,
) -> "tuple[S3Store, str]":
    """
    Open the bucket of an address ``s3://bucket/prefix``.

    Args:
        url: The address.
        endpoint: The server, ``https://s3.example.org:9000``, where it is not Amazon's.
        access_key: The credentials' name; from the environment (``AWS_ACCESS_KEY_ID``) where ``None``.
        secret_key: The credentials' secret; from the environment (``AWS_SECRET_ACCESS_KEY``) where ``None``.
        region: The region; ``us-east-1`` where neither this nor the environment names one.
        tls_ca_file: PEM file of an authority to trust besides the system's.
        connect_seconds: How long a connection may take.
        read_seconds: How long a request may stand still.
        checked_by_store: Whether the store gets a digest with all that is sent, and refuses what arrives damaged.

    Returns:
        The bucket and the prefix for :class:`~xfworker.adapters.s3.file_store.S3FileStore`.

    Raises:
        ConfigurationError: The address is not an S3 address, or a setting is refused.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ConfigurationError(f"a bucket's address looks like s3://bucket/prefix, not {url!r}")
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    stated = {
        "endpoint": endpoint,
        "access_key_id": access_key,
        "secret_access_key": secret_key,
        "region": region,
    }
    config: Any = {key: value for key, value in stated.items() if value is not None}
    if checked_by_store:
        config["checksum_algorithm"] = "SHA256"
    client: Any = {
        "connect_timeout": timedelta(seconds=connect_seconds),
        "timeout": timedelta(seconds=3600 * 24),
        "read_timeout": timedelta(seconds=read_seconds),
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }
    if tls_ca_file is not None:
        try:
            client["root_certificate"] = tls_ca_file.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"could not read the certificate authorities in {tls_ca_file}: {error.strerror or error}"
            ) from None
    try:
        store = S3Store(
            parts.netloc,
            config=config,
            client_options=client,
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
        )
    except (BaseError, ValueError) as error:
        raise ConfigurationError(f"could not open the bucket {parts.netloc}: {error}") from None
    return store, parts.path.strip("/")
