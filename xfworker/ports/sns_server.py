"""A SCANCO database system: a catalogue of measurements and their ISQ files."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from attrs import define, field


@define(frozen=True, kw_only=True)
class Measurement:
    """
    One scan in the catalogue.

    Attributes:
        patient_index: The scanner's number for the sample.
        measurement_index: The scanner's number for the scan.
        site: The scanner's number for the site (anatomical region).
        scanner_id: The scanner's serial number.
        created_at: When it was scanned (UTC), or ``None`` where the header holds no sensible date.
        size: Voxels along (x, y, z).
        spacing_mm: Voxel edge along (x, y, z).
        filename: The file in the catalogue.
        size_bytes: The file's size.
        name: The sample's name in the header. It can be a person's, so it is not shown in logs.
    """

    patient_index: int
    measurement_index: int
    site: int
    scanner_id: int
    created_at: datetime | None
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    filename: str
    size_bytes: int
    name: str = field(default="", repr=False)


class MeasurementFiles(Protocol):
    """A catalogue whose files lie on a disk of this machine, to be served from there."""

    def measurements(
        self, *, patient_index: int | None = None, measurement_index: int | None = None
    ) -> Sequence[Measurement]:
        """List measurements, by patient index, then measurement index."""
        ...

    def file(self, measurement_index: int) -> tuple[Path, Measurement]:
        """
        Give a measurement's file; of several with one index, the one that changed last.

        Raises:
            RecordNotFound: There is no such measurement.
        """
        ...


class SnsServer(Protocol):
    """A catalogue of measurements."""

    def measurements(
        self, *, patient_index: int | None = None, measurement_index: int | None = None
    ) -> Sequence[Measurement]:
        """List measurements, by patient index, then measurement index."""
        ...

    def download(self, measurement_index: int, target: Path) -> Path:
        """
        Fetch a measurement's ISQ file; ``target`` appears only when complete.

        Raises:
            RecordNotFound: There is no such measurement.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
