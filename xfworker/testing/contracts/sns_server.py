"""What every catalogue of measurements does, however it is reached."""

import struct
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from xfworker.domain.errors import RecordNotFound
from xfworker.ports.sns_server import SnsServer

_NOWHERE = 999_999


def isq_file(
    *, patient: int = 1, measurement: int = 7, size: tuple[int, int, int] = (4, 3, 2), site: int = 21, name: str = ""
) -> bytes:
    """
    Make a small ISQ file of zeros, by the table of its header in the vendor's description of the format.

    Args:
        patient: The sample's index.
        measurement: The scan's index.
        size: Voxels along (x, y, z); each is 0.01 mm long.
        site: The site's index.
        name: The sample's name.
    """
    header = bytearray(512)
    header[:16] = b"CTDATA-HEADER_V1"
    voxel_bytes = 2 * size[0] * size[1] * size[2]
    struct.pack_into("<4i", header, 16, 3, 512 + voxel_bytes, 1, patient)
    struct.pack_into("<i", header, 32, 3401)
    struct.pack_into("<3i", header, 44, *size)
    struct.pack_into("<3i", header, 56, *(count * 10 for count in size))
    struct.pack_into("<i", header, 88, 4096)
    struct.pack_into("<2i", header, 112, measurement, site)
    header[128:168] = (name or "SAMPLE").encode().ljust(40)
    return bytes(header) + bytes(voxel_bytes)


MEASUREMENTS: Mapping[str, bytes] = {
    "b.isq": isq_file(patient=2, measurement=12),
    "later.isq": isq_file(patient=1, measurement=11, size=(50, 40, 300), site=4),
    "earlier.isq": isq_file(patient=1, measurement=10, name="Jane Doe"),
}
"""Name and content of the files that the catalogue holds."""


class SnsServerContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your catalogue.

    Fixture to give:
        ``server``: an :class:`~xfworker.ports.sns_server.SnsServer` that holds the files of :data:`MEASUREMENTS` and
        nothing else. No test changes the catalogue, so one may serve them all.
    """

    @pytest.fixture
    def server(self) -> SnsServer:
        raise NotImplementedError("give a catalogue of the files in MEASUREMENTS")

    def test_measurements_come_by_patient_then_measurement(self, server: SnsServer) -> None:
        measurements = server.measurements()
        assert [(item.patient_index, item.measurement_index) for item in measurements] == [(1, 10), (1, 11), (2, 12)]
        assert [item.filename for item in measurements] == ["earlier.isq", "later.isq", "b.isq"]

    def test_measurements_are_narrowed_by_patient_and_measurement(self, server: SnsServer) -> None:
        def indices(**narrowed: int) -> list[int]:
            return [item.measurement_index for item in server.measurements(**narrowed)]

        assert indices(patient_index=1) == [10, 11]
        assert indices(measurement_index=12) == [12]
        assert indices(patient_index=1, measurement_index=11) == [11]
        assert indices(patient_index=2, measurement_index=11) == []
        assert indices(patient_index=_NOWHERE) == []
        assert indices(patient_index=0) == []

    def test_a_measurement_is_described(self, server: SnsServer) -> None:
        [measurement] = server.measurements(measurement_index=11)
        assert measurement.size == (50, 40, 300)
        assert measurement.spacing_mm == pytest.approx((0.01, 0.01, 0.01))
        assert (measurement.site, measurement.scanner_id) == (4, 3401)
        assert measurement.size_bytes == len(MEASUREMENTS["later.isq"])
        assert measurement.created_at is None or measurement.created_at.utcoffset() == timedelta(0)

    def test_a_name_is_known_and_not_shown(self, server: SnsServer) -> None:
        [measurement] = server.measurements(measurement_index=10)
        assert measurement.name == "Jane Doe"
        assert "Jane" not in repr(measurement)

    @pytest.mark.parametrize(("index", "name"), [(10, "earlier.isq"), (11, "later.isq"), (12, "b.isq")])
    def test_a_measurement_is_fetched_byte_for_byte(
        self, server: SnsServer, tmp_path: Path, index: int, name: str
    ) -> None:
        target = tmp_path / "fetched.isq"
        assert server.download(index, target) == target
        assert target.read_bytes() == MEASUREMENTS[name]
        assert list(tmp_path.iterdir()) == [target]

    def test_a_file_that_is_there_is_replaced(self, server: SnsServer, tmp_path: Path) -> None:
        target = tmp_path / "fetched.isq"
        target.write_bytes(b"old" * 1_000_000)
        server.download(12, target)
        assert target.read_bytes() == MEASUREMENTS["b.isq"]

    def test_a_measurement_that_is_not_there_changes_nothing(self, server: SnsServer, tmp_path: Path) -> None:
        target = tmp_path / "fetched.isq"
        with pytest.raises(RecordNotFound, match=str(_NOWHERE)):
            server.download(_NOWHERE, target)
        assert list(tmp_path.iterdir()) == []
        target.write_bytes(b"old")
        with pytest.raises(RecordNotFound):
            server.download(_NOWHERE, target)
        assert target.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [target]
