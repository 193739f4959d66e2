"""An image without the person: what is taken out of its log, its scan's statements and its header, and what stays."""

from pathlib import Path

import pytest

from xfworker.domain.image.deidentify import deidentified_log, deidentify, is_deidentified
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType


def image(**more):
    return ImageInfo(
        path=Path("a.aim"), format="AIM", size=(1, 1, 1), pixel_type=PixelType.INT16, pixels_path=Path("a.aim"), **more
    )


def statement(key, value):
    return f"{key:<30}{value}"


@pytest.mark.parametrize(
    ("before", "after", "removed"),
    [
        (statement("Patient Name", "DOE"), statement("Patient Name", "   "), ["Patient Name"]),
        (statement("patient name", "DOE"), statement("patient name", "   "), ["Patient Name"]),
        (statement("  Patient Name", "DOE"), statement("  Patient Name", "   "), ["Patient Name"]),
        (statement("Index Patient", "12\0rest"), statement("Index Patient", "  \0rest"), ["Index Patient"]),
        (statement("Index Measurement", "7") + " ", statement("Index Measurement", "  "), ["Index Measurement"]),
        (statement("Original file", "dk0:[a]b"), statement("Original file", "        "), ["Original file"]),
        ("Patient Name  DOE", "Patient Name     ", ["Patient Name"]),
        ("Original file dk0:[microct.data.12]a.isq;1", f"Original file{' ' * 29}", ["Original file"]),
        (statement("! Patient Name", "DOE"), statement("! Patient Name", "   "), ["Patient Name"]),
        (statement("Patient Name", ""), statement("Patient Name", ""), []),
        ("Patient Name", "Patient Name", []),
        ("Patient Name \0DOE", "Patient Name \0DOE", []),
        (statement("Mu_Scaling", "8192"), statement("Mu_Scaling", "8192"), []),
        (statement("Scanned by", "Patient Name"), statement("Scanned by", "Patient Name"), []),
    ],
)
def test_statements_of_a_log_that_lead_to_a_person_are_blanked_in_place(before, after, removed):
    for log, expected in ((before, after), (f"Time  1\n{before}\nTime  2", f"Time  1\n{after}\nTime  2")):
        blanked, keys = deidentified_log(log)
        assert len(blanked) == len(log)
        assert (blanked, keys) == (expected, [f"processing log: {key}" for key in removed])


def test_what_was_kept_of_a_scan_and_a_header_is_emptied_and_named_once():
    scan = [
        ["Patient Name", "DOE"],
        ["Index Patient", 12],
        ["Index Patient", 13],
        ["Scanner ID", 3401],
        ["Patient Name"],
    ]
    done = deidentify(
        image(
            header={"name": "DOE", "patient_index": 12, "index_measurement": 7, "site": 4},
            source={"processing_log": statement("Patient Name", "DOE"), "scan": scan, "original_filename": "a.isq"},
        )
    )
    assert done.removed == (
        "processing log: Patient Name", "scan parameters: Patient Name", "scan parameters: Index Patient",
        "AIM header: name", "AIM header: patient_index", "AIM header: index_measurement", "original file name",
    )  # fmt: skip
    assert done.info.header == {"name": "", "patient_index": 0, "index_measurement": 0, "site": 4}
    assert done.info.source == {
        "processing_log": statement("Patient Name", "   "),
        "scan": [
            ["Patient Name", ""],
            ["Index Patient", 0],
            ["Index Patient", 0],
            ["Scanner ID", 3401],
            ["Patient Name"],
        ],
        "deidentified": True,
    }
    assert is_deidentified(done.info.source)


def test_an_image_that_names_nobody_stays_as_it_is_and_headers_that_were_kept_are_to_be_blanked():
    assert deidentify(image()).info == image()
    kept = {"scan": [["Patient Name", ""], ["Index Patient", 0]], "processing_log": "Time  1"}
    done = deidentify(image(source=kept, header={"name": "", "patient_index": 0}))
    assert (done.info.source, done.removed) == ({**kept, "deidentified": True}, ())
    assert not is_deidentified(kept)
    assert not is_deidentified(None)
