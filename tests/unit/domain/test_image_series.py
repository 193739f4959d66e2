"""How a series of slices is addressed by one of its files."""

import pytest

from xfworker.domain.errors import InvalidFilename
from xfworker.domain.files import parse_resource
from xfworker.domain.image.series import may_be_of_series, require_image_folder, series_member


def test_a_series_is_named_by_one_of_its_files_and_a_suffix():
    assert series_member(parse_resource("job_result/3/a/s1.dcm.series")) == parse_resource("job_result/3/a/s1.dcm")
    for other in ("job_result/3/s1.dcm", "job_result/3/.series", "job_result/3/series", "userdata/a.series.dcm"):
        assert series_member(parse_resource(other)) is None


@pytest.mark.parametrize(
    ("filename", "member", "may_be"),
    [
        ("b.dcm", "a.dcm", True), ("b.DCM", "a.dcm", True), ("b.dcm", "a.DCM", True), ("b.tif", "a.dcm", False),
        (".b.dcm", "a.dcm", False), ("b", "a", True), ("b.dcm", "a", False),
    ],
)  # fmt: skip
def test_files_with_the_suffix_of_one_may_be_slices_of_its_series(filename, member, may_be):
    assert may_be_of_series(filename, member) == may_be


def test_all_files_of_a_source_are_never_one_image():
    require_image_folder(parse_resource("userdata/scan"))
    with pytest.raises(InvalidFilename, match="userdata is not a folder of one image"):
        require_image_folder(parse_resource("userdata"))
