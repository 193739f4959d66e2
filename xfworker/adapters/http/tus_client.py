"""Sends a file to any tus server."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import TlsOptions
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.tus_upload import TusResult, TusUpload
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.retries import transfer_retries
from xfworker.adapters.transfer.upload_source import UploadSource
from xfworker.domain.address import Address
from xfworker.ports.file_store import Progress


def upload_to_tus_server(
    url: str,
    source: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    limits: HttpLimits | None = None,
    transfers: TransferLimits | None = None,
    tls: TlsOptions | None = None,
    allow_plain_http: bool = False,
    progress: Progress | None = None,
) -> TusResult:
    """
    Send a file to a tus server that knows nothing of this project.

    Args:
        url: Where the server creates uploads.
        source: The file.
        metadata: The upload's ``Upload-Metadata``; the file's name where ``None``.
        headers: Header fields of every request, such as ``Authorization``.
        limits: Time limits and repeats.
        transfers: How the file is cut into pieces.
        tls: How the server is trusted.
        allow_plain_http: Whether ``http`` may go further than this computer.
        progress: Called with bytes done and bytes in all.

    Raises:
        FileChanged: The file changed while it was read.
        ChecksumMismatch: It arrived damaged, repeatedly.
        TransferInterrupted: The link broke for too long; a later call goes on from there.
    """
    parts = urlsplit(url)
    limits, transfers, clock = limits or HttpLimits(), transfers or TransferLimits(), SystemClock()
    transport = HttpTransport(
        Address.read(url).origin,
        limits=limits,
        tls=tls,
        allow_plain_http=allow_plain_http,
        clock=clock,
    )
    file = UploadSource(source, block_bytes=transfers.block_bytes, blocks=transfers.blocks)
    try:
        return TusUpload(
            transport,
            parts.path + (f"?{parts.query}" if parts.query else ""),
            file,
            what=source.name,
            metadata=metadata or {"filename": source.name},
            headers=headers or {},
            limits=transfers,
            retries=transfer_retries(
                clock,
                transfers,
                f"storing {source.name}",
                backoff_seconds=limits.backoff_seconds,
                throttled_seconds=limits.patience_seconds,
            ),
            progress=progress,
        ).run()
    finally:
        file.close()
        transport.close()
