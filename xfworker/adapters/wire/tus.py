"""Header fields of the tus 1.0 protocol (tus.io) that both ends write or read."""

import base64
import binascii
from collections.abc import Mapping

from xfworker.domain.errors import UsageError

TUS_HEADERS = {"Tus-Resumable": "1.0.0"}
"""What every request and every answer carries."""

UPLOAD_TYPE = "application/offset+octet-stream"
"""The media type of the bytes of an upload."""


def write_metadata(metadata: Mapping[str, str]) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())


def read_metadata(header: str) -> dict[str, str]:
    """
    Read ``Upload-Metadata``: ``key base64,key base64``.

    Raises:
        UsageError: It is malformed.
    """
    metadata: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            metadata[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise UsageError(f"Upload-Metadata: the value of {key[:40]!a} is not UTF-8 in base64") from None
    return metadata
