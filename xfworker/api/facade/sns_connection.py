"""A connection to an SNS server, and what is needed to open one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xfworker.api.facade.connection import Connection
from xfworker.domain.errors import UsageError
from xfworker.ports.sns_server import SnsServer


class SnsConnectionParams(dict[str, Any]):
    """
    Where an SNS server stands, as a plain dict of values that may be shown; the right to use it is kept beside them.

    A copy made with ``dict(params)`` lacks that right and falls back to the token of the environment.
    """

    __slots__ = ("opener",)

    opener: Callable[[], SnsServer]

    def __init__(self, public: dict[str, Any], opener: Callable[[], SnsServer]) -> None:
        super().__init__(public)
        self.opener = opener

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class SnsConnection(Connection):
    """A connection to an SNS server; the functions for the XF Server do not take it."""

    __slots__ = ("_sns",)

    def __init__(self, sns: SnsServer) -> None:
        self._sns = sns

    def __repr__(self) -> str:
        return f"<connection to the SNS server {self._sns!r}>"

    def measurements(
        self, *, patient_index: int | None = None, measurement_index: int | None = None
    ) -> list[dict[str, Any]]:
        """
        List measurements, by patient index, then measurement index.

        Args:
            patient_index: Only those of this sample.
            measurement_index: Only this one.

        Returns:
            Objects with ``patient_index``, ``measurement_index``, ``site``, ``scanner_id``, ``created_at``, ``size``
            (voxels along x, y, z), ``spacing_mm`` (x, y, z), ``filename``, ``size_bytes`` and ``name``.
        """
        from xfworker.adapters.wire.codec import write

        measurements = self._sns.measurements(patient_index=patient_index, measurement_index=measurement_index)
        return [write(measurement) for measurement in measurements]

    def download(self, measurement_index: int, path: Path) -> Path:
        """
        Fetch a measurement's ISQ file; ``path`` appears when it is complete.

        Raises:
            RecordNotFound: There is no such measurement.
            FileError: The transfer failed.
        """
        if isinstance(measurement_index, bool) or not isinstance(measurement_index, int):
            raise UsageError(f"download: measurement_index is an integer, not {measurement_index!r:.80}")
        return self._sns.download(measurement_index, Path(path))

    def close(self) -> None:
        """Let go of the server."""
        self._sns.close()
