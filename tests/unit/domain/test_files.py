import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import FileError, InvalidFilename, PermissionDenied
from xfworker.domain.filenames import check_filename, is_safe_filename
from xfworker.domain.files import (
    SERIAL_KEYS,
    USERDATA,
    VERBS,
    AuthorizationToken,
    Resource,
    Scope,
    own_token,
    parse_resource,
    record_resource,
    reference_resource,
    resource_reference,
    scopes_from_json,
    scopes_to_json,
    userdata_resource,
)

safe_names = st.text(min_size=1, max_size=40).filter(is_safe_filename)


@pytest.mark.parametrize("serial", ["0", "1", "10", "17"])
def test_a_serial_in_a_place_is_written_in_one_way(serial):
    assert str(parse_resource(f"job_result/{serial}/a.raw")) == f"job_result/{serial}/a.raw"
    for otherwise in (f"0{serial}", f"+{serial}", f"{serial}_0", "\u0661"):
        with pytest.raises(InvalidFilename, match="is not a serial"):
            parse_resource(f"job_result/{otherwise}/a.raw")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "C:",
        "C:x",
        "a:stream",
        "a\0b",
        "a\nb",
        "a\x7f",
        "nul",
        "NUL.txt",
        "Com1",
        "lpt9.log",
        "aux .txt",
        "COM¹",
        "a.",
        "a ",
        "...",
        "a?b",
        "a*",
        'a"',
        "<a>",
        "a|b",
        "x" * 256,
        "é" * 128,
        "\ud800",
        None,
        3,
        b"a",
    ],
)
def test_unsafe_names_are_refused(name):
    with pytest.raises(InvalidFilename):
        check_filename(name)


@pytest.mark.parametrize(
    "name", ["a", ".hidden", "a b.omni", "SCAN.AIM;1", "日本語.aim", "é" * 127, "com", "nullable", "a..b", "-rf"]
)
def test_ordinary_names_are_taken_as_they_are(name):
    assert check_filename(name) == name


def test_a_message_about_a_name_stays_one_short_line():
    with pytest.raises(InvalidFilename) as caught:
        check_filename("\n" * 100_000)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.sampled_from(sorted(SERIAL_KEYS)), st.integers(min_value=0), safe_names)
def test_references_and_resources_are_two_forms_of_one_place(source, serial, name):
    reference = {"source": source, SERIAL_KEYS[source]: serial, "filename": name}

    assert resource_reference(reference_resource(reference)) == reference
    assert parse_resource(str(reference_resource(reference))) == reference_resource(reference)


@given(st.lists(safe_names, min_size=1, max_size=4))
def test_userdata_paths_are_taken_with_or_without_their_prefix(names):
    path = "/".join(names)
    place = Resource(("userdata", *names))

    assert userdata_resource(f"X/{path}") == Resource(("userdata", "X", *names))
    assert (
        userdata_resource(f"//{path}/") == userdata_resource(path) == userdata_resource(f"@xfuserdata/{path}") == place
    )
    assert reference_resource({"source": "userdata", "virtualpath": path, "filename": names[-1]}) == place
    assert reference_resource({"source": "userdata", "virtualpath": f"{path}/", "filename": "x"}) == place.child("x")
    other = f"not-{len(path)}-{len(names[-1])}.isq"
    assert reference_resource({"source": "userdata", "virtualpath": path, "filename": other}) == place.child(other)
    assert reference_resource({"source": "userdata", "virtualpath": path}) == place


@pytest.mark.parametrize(
    "text",
    [
        "job_result/../1",
        "job_result/17/../../x",
        "job_result/x",
        "job_result//a",
        "etc/passwd",
        "",
        "/",
        "job_result/1/a\\b",
        "userdata/..",
        "job_result/\u0661",
    ],
)
def test_places_outside_the_store_cannot_be_named(text):
    with pytest.raises(InvalidFilename):
        parse_resource(text)


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"source": "job_result"},
        {"source": "job_result", "job_serial": 1},
        {"source": "moon", "filename": "a"},
        {"source": "userdata"},
    ],
)
def test_a_reference_that_lacks_a_key_says_which(reference):
    with pytest.raises(FileError, match="file reference"):
        reference_resource(reference)


def token(*scopes: tuple[str, str]) -> AuthorizationToken:
    return AuthorizationToken(url="http://127.0.0.1", token="s3cret", scopes=scopes_from_json(scopes))


def test_scopes_cover_whole_segments_only():
    allowed = token(("read", "job_result/1"))

    assert allowed.allows("read", record_resource("job_result", 1, "a"))
    assert not allowed.allows("read", record_resource("job_result", 17, "a"))
    assert not allowed.allows("write", record_resource("job_result", 1, "a"))


def test_a_refusal_says_what_is_allowed_but_never_the_secret():
    with pytest.raises(PermissionDenied, match="it allows: read job_result/1") as caught:
        token(("read", "job_result/1")).require("delete", record_resource("job_result", 1, "a"))

    assert "s3cret" not in str(caught.value) + repr(token())


def test_scopes_travel_as_pairs():
    scopes = (Scope("list", userdata_resource("a/b")), Scope("write", record_resource("job_result", 3)))

    assert scopes_from_json(scopes_to_json(scopes)) == scopes


@pytest.mark.parametrize("value", [[["read"]], ["read"], [["own", "userdata"]], [["read", "userdata/.."]], [[1, 2]]])
def test_malformed_scopes_are_refused(value):
    with pytest.raises((FileError, InvalidFilename)):
        scopes_from_json(value)


def test_a_token_about_one_resource_names_it():
    assert token(("list", "userdata/a")).resource("list") == userdata_resource("a")
    with pytest.raises(FileError, match="2 resources"):
        token(("read", "userdata/a"), ("read", "userdata/b")).resource()


def test_sources_keys_and_verbs_have_the_words_of_the_wire():
    assert SERIAL_KEYS == {
        "job_result": "job_serial",
        "job_log": "job_serial",
        "task_config": "task_serial",
        "task_type_config": "task_type_serial",
        "workflow_config": "workflow_serial",
        "dependency_package_config": "dependency_package_serial",
    }
    assert (USERDATA, VERBS) == ("userdata", ("read", "write", "list", "delete"))


def test_a_trailing_slash_is_a_folder_s_and_an_unknown_source_is_refused_with_those_there_are():
    assert parse_resource("job_result/17/") == parse_resource("job_result/17")
    with pytest.raises(InvalidFilename, match=r"sources are job_result, job_log, .*_config, userdata$"):
        parse_resource("elsewhere/17")


@pytest.mark.parametrize(
    "path", [r"@xfuserdata\scans\a.isq", "@xfuserdata/scans/a.isq", "/scans/a.isq/", r"scans\a.isq"]
)
def test_a_path_of_user_data_is_one_however_it_is_written(path):
    resource = userdata_resource(path)
    assert str(resource) == "userdata/scans/a.isq"
    reference = {"source": "userdata", "virtualpath": "scans/a.isq", "filename": "a.isq"}
    assert resource_reference(resource) == reference
    assert reference_resource(reference) == resource
    assert reference_resource({**reference, "virtualpath": "scans/"}) == resource
    assert reference_resource({**reference, "virtualpath": "scans/a.isq/"}).segments[-2:] == ("a.isq", "a.isq")


def test_a_reference_names_its_source_its_record_and_its_file():
    assert resource_reference(parse_resource("job_result/17/scan.omni")) == {
        "source": "job_result",
        "job_serial": 17,
        "filename": "scan.omni",
    }


def test_a_token_says_what_it_allows_and_which_resource_it_is_about():
    read, write = parse_resource("job_result/1"), parse_resource("job_result/2")
    token = AuthorizationToken(
        url="", token="hidden", scopes=(Scope("read", read), Scope("write", write)), renew=lambda: token
    )
    with pytest.raises(PermissionDenied, match=r"it allows: read job_result/1, write job_result/2$"):
        token.require("delete", read)
    with pytest.raises(PermissionDenied, match=r"it allows: nothing$"):
        own_token(()).require("read", read)
    scopes = (Scope("list", write), Scope("read", write))
    assert own_token(("list", "read"), write) == AuthorizationToken(url="", token="", scopes=scopes)
    assert (token.resource("read"), token.resource("write")) == (read, write)
    with pytest.raises(FileError, match="is about 2 resources"):
        token.resource()
    assert "lambda" not in repr(token)
    assert token == AuthorizationToken(url="", token="hidden", scopes=token.scopes)
