"""Where a bucket is."""

from pathlib import Path

from attrs import define, field


@define(frozen=True, kw_only=True)
class BucketLocation:
    """
    Where a bucket is and how it is reached.

    Attributes:
        url: ``s3://bucket/prefix``.
        endpoint: The server, where it is not Amazon's.
        region: The bucket's region; ``us-east-1`` where neither this nor the environment names one.
        access_key: The credentials' name; from ``AWS_ACCESS_KEY_ID`` where ``None``.
        secret_key: The credentials' secret; from ``AWS_SECRET_ACCESS_KEY`` where ``None``; never shown.
        tls_ca_file: PEM file of an authority to trust besides the system's.
        connect_seconds: How long a connection may take.
        read_seconds: How long a request may stand still.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    tls_ca_file: Path | None = None
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
