"""Opens a bucket to be served."""

import os

from xfworker.adapters.s3.bucket import open_bucket
from xfworker.adapters.s3.location import BucketLocation
from xfworker.adapters.s3.served_files import S3ServedFiles
from xfworker.adapters.s3.signed_requests import S3Access, SignedRequests
from xfworker.domain.errors import ConfigurationError

_REGION = "us-east-1"


def open_served_bucket(location: BucketLocation) -> S3ServedFiles:
    """
    Open a bucket to be served.

    Raises:
        ConfigurationError: The address is not an S3 address, a setting is refused, or there are no credentials.
    """
    environment = os.environ
    access_key = location.access_key or environment.get("AWS_ACCESS_KEY_ID")
    secret_key = location.secret_key or environment.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        raise ConfigurationError(
            f"{location.url} needs credentials: set files.access_key and files.secret_key in the settings, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    region = location.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or _REGION
    endpoint = (
        location.endpoint
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or f"https://s3.{region}.amazonaws.com"
    ).rstrip("/")
    store, prefix = open_bucket(
        location.url,
        endpoint=endpoint,
        access_key=access_key,
        secret_key=secret_key,
        region=region,
        tls_ca_file=location.tls_ca_file,
        connect_seconds=location.connect_seconds,
        read_seconds=location.read_seconds,
        checked_by_store=True,
    )
    bucket = location.url.removeprefix("s3://").partition("/")[0]
    access = S3Access(
        bucket=bucket,
        endpoint=endpoint,
        region=region,
        access_key=access_key,
        secret_key=secret_key,
        session_token=None if location.access_key else environment.get("AWS_SESSION_TOKEN"),
        tls_ca_file=location.tls_ca_file,
        connect_seconds=location.connect_seconds,
        read_seconds=location.read_seconds,
    )
    address = f"s3://{bucket}{'/' if prefix else ''}{prefix} at {endpoint}"
    return S3ServedFiles(store, SignedRequests(access), prefix=prefix, address=address)
