"""Numbers in paths and queries: digits and nothing else, so that no two programs read another number out of them."""

from urllib.parse import quote

import pytest

from tests.unit.platform.test_access_matrix import XF, site  # noqa: F401  a fixture
from xfworker.adapters.wire.digits import are_plain, read_integer
from xfworker.domain.conversion import parse_time
from xfworker.domain.errors import InvalidFilename
from xfworker.domain.files import parse_resource

ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
SPELLINGS = {
    "with a sign": lambda digits: f"+{digits}",
    "with a zero before it": lambda digits: f"0{digits}",
    "with a space": lambda digits: f" {digits}",
    "with a space behind it": lambda digits: f"{digits} ",
    "in Arabic digits": lambda digits: digits.translate(ARABIC),
    "with an underscore": lambda digits: f"{digits[0]}_{digits[1:] or '0'}",
}
NUMBERED = [(verb, path) for verb, path in XF if "{" in path]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_serial_in_another_spelling_is_no_serial(site, spelling):  # noqa: F811
    before = site.snapshot()
    for verb, path in NUMBERED:
        filled = site.filled(path, path=path)
        digits = next(segment for segment in filled.split("/") if segment.isdigit())
        other = filled.replace(f"/{digits}", f"/{quote(SPELLINGS[spelling](digits))}", 1)
        body, query = site.request_for(verb, path)
        answer = site.ask("admin", verb, other, body, query)
        assert answer.status_code == 404, (verb, other, answer.text)
    assert site.snapshot() == before
    assert len(NUMBERED) > 30


def test_each_number_of_a_path_is_looked_for_once():
    assert are_plain("/projects/10/members/10", {"serial": 10, "account": 10})
    assert not are_plain("/projects/1_0/members/10", {"serial": 10, "account": 10})
    assert are_plain("/jobs/-1", {"serial": -1})
    assert are_plain("/files/٣", {"name": "٣"})


NO_INTEGERS = ("--1", "-", "", "+1", "1_0", "1.0", "1e3", "٣", "0x1", " 1", "NaN", "Infinity", "9" * 20)


@pytest.mark.parametrize("text", NO_INTEGERS)
def test_an_index_of_a_measurement_that_is_no_integer_is_refused(site, text):  # noqa: F811
    assert read_integer(text) is None
    for address in (f"?patient_index={quote(text)}", f"?measurement_index={quote(text)}", f"/{quote(text)}/file"):
        answer = site.ask("admin", "get", f"/sns/v1/measurements{address}")
        assert answer.status_code == 400 or (not text and address == "//file"), (address, answer.text)
    assert (read_integer("-17"), read_integer("017")) == (-17, 17)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_no_calendar_has_in_utc_is_refused_as_any_other_text(site, text):  # noqa: F811
    with pytest.raises(ValueError, match="not a time in UTC"):
        parse_time(text)
    board = site.ask("owner", "get", f"/xf/v1/workflows/{{serial}}/board?since={quote(text)}")
    assert (board.status_code, "since" in board.text) == (400, True)
    for field in ("started_at", "finished_at"):
        change = site.ask("admin", "patch", "/xf/v1/jobs/{serial}", {"values": {f"/{field}": text}})
        assert (change.status_code, field in change.text) == (422, True)


def test_a_record_has_one_folder_of_files_and_no_other_spelling_of_its_serial_is_one(site):  # noqa: F811
    for serial in ("01", "00", "0010"):
        with pytest.raises(InvalidFilename, match="is not a serial"):
            parse_resource(f"job_result/{serial}/a.bin")
        asked = {"scopes": [["write", f"job_result/{serial}"]]}
        assert site.ask("admin", "post", "/xf/v1/fss-tokens", asked).status_code == 422
    assert parse_resource("job_result/0/a.bin").segments[1] == "0"
    assert parse_resource("job_result/100/a.bin").segments[1] == "100"
