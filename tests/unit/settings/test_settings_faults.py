"""What people get wrong in settings files: each fault is a sentence that names its line and shows no secret."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.api.composition.secret_files import read_secret
from xfworker.api.settings.file import load_settings
from xfworker.api.settings.toml_lines import key_lines
from xfworker.domain.errors import ConfigurationError


@pytest.fixture
def fault(tmp_path):
    def fault(content, **variables):
        if content is not None:
            raw = content if isinstance(content, bytes) else content.encode()
            (tmp_path / "xfworker.toml").write_bytes(raw)
        with pytest.raises(ConfigurationError) as caught:
            load_settings({"HOME": str(tmp_path), **variables}, tmp_path)
        return str(caught.value).replace(str(tmp_path / "xfworker.toml"), "FILE")

    return fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("http = { reed_seconds = 1 }\n", "FILE, line 1: http.reed_seconds is not a setting; did you mean http.read_s"),
        ("# a\u2028b\n[http]\nattempts = 'x'\n", "FILE, line 3: http.attempts: expected an integer, got 'x'"),
        (
            '[server.inputs]\nt = """\n[logging]\nlevel = 1\n"""\n[logging]\nlevel = "loud"\n',
            "FILE, line 7: logging.level is 'loud'",
        ),
        (
            "[disk.path_map]\n'/a' = '/b'\n'/c' = 3\n",
            "FILE, line 3: disk.path_map: expected a string in quotes for '/c'",
        ),
        ("[htpp]\nattempts = 3\n", "FILE, line 1: htpp is not a setting; did you mean [http]?"),
        ("[HTTP]\nattempts = 3\n", "FILE, line 1: HTTP is not a setting; did you mean [http]?"),
        ("\nhttp = 5\n", "FILE, line 2: http is a table; its settings stand below [http]"),
        ("[http]\nread_seconds = nan\n", "FILE, line 2: http.read_seconds is nan"),
        (f"[http]\nread_seconds = 1{'0' * 400}\n", "FILE, line 2: http.read_seconds: is too large a number"),
        ("[http]\nread_seconds = inf\n", "FILE, line 2: http.read_seconds is inf"),
        ("[tls]\nminimum_version = 1.2\n", "FILE, line 2: tls.minimum_version: expected a string in quotes, got 1.2"),
        ('[disk]\ntemp_directory = "C:\\temp\\new"\n', "line 2: disk.temp_directory: the path 'C:\\temp\\new' holds a"),
        (
            '[disk]\ntemp_directory = "a\\u0000"\n',
            "FILE, line 2: disk.temp_directory: the path 'a\\x00' holds a control",
        ),
        (
            '[disk]\ntemp_directory = "~no.such.user/x"\n',
            "FILE, line 2: disk.temp_directory: the path '~no.such.user/x'",
        ),
        ('[disk]\ntemp_directory = "C:\\data"\n', "write Windows paths in single quotes"),
        ("[server]\nurl = 'https://'\n", "FILE, line 2: server.url is not an address"),
        ("[server]\nurl = 'https://lab:99999'\n", "FILE, line 2: server.url is not an address"),
        ("[server]\nurl = 'https://lab/?a=b'\n", "FILE, line 2: server.url has a question"),
        ("[network]\nproxy = 'http://'\n", "FILE, line 2: network.proxy is not an address of a proxy"),
        (b"[http]\n# \xe9t\xe9\n", "FILE: is not UTF-8 text (byte 0xe9 in line 2)"),
        ("a = " + "[" * 3000 + "]" * 3000, "FILE: is nested too deeply"),
        (f"[http]\nattempts = {'9' * 5000}\n", "FILE: holds a number that is too long"),
        (b"\xef\xbb\xbf[http]\r\n\r\nattempts = 'x'\r\n", "FILE, line 3: http.attempts"),
    ],
)
def test_a_fault_names_its_line(fault, text, sentence):
    assert sentence in fault(text)


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ("kind = 'folder'\nflder = 'b'\n", "line 8: files.archives[1].flder is not a setting; did you mean folder?"),
        ("kind = 'folder'\nfolder = 5\n", "line 8: files.archives[1].folder: expected a path in quotes, got 5"),
        ("kind = 's3'\n", "line 7: files.archives[1].kind is 's3', which needs files.archives[1].bucket"),
        ("folder = 'x'\n", "line 6: files.archives[1] is not a table with a kind"),
    ],
)
def test_archives_are_checked_like_the_store_itself(fault, tables, sentence):
    above = "[files]\nkind = 'memory'\n[[files.archives]]\nkind = 'folder'\nfolder = 'a'\n[[files.archives]]\n"
    assert sentence in fault(above + tables)


def test_the_folder_of_an_archive_is_relative_to_the_file(tmp_path):
    text = "[files]\nkind = 'memory'\n[[files.archives]]\nkind = 'folder'\nfolder = 'old'\n"
    (tmp_path / "lab.toml").write_text(text)
    loaded = load_settings({"XFWORKER_CONFIG": str(tmp_path / "lab.toml")}, tmp_path / "elsewhere")
    assert loaded.settings.files.archives == [{"kind": "folder", "folder": str(tmp_path / "old")}]


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("[server]\nurl = 'ftp://anna:hunter2@lab'\n", {}),
        ("[server]\nurl = 'https://anna:hunter2@lab'\n", {}),
        ("[server]\ntoken = 'hunter2 '\n", {}),
        ("[server]\noptions = 'password=hunter2'\n", {}),
        ("[files]\nendpoint = 'https://anna:hunter2@s3'\n", {}),
        ("[[files.archives]]\nkind = 's3'\nbucket = 's3://x'\nendpoint = 'https://anna:hunter2@s3'\n", {}),
        ("[network]\nproxy = 'socks5://anna:hunter2@proxy'\n", {}),
        (None, {"XFWORKER_FILES_OPTIONS": '{"password": "hunter2"'}),
        (None, {"XFWORKER_FILES_OPTIONS": '"hunter2"'}),
    ],
)
def test_no_fault_shows_a_password(fault, text, variables):
    assert "hunter2" not in fault(text, **variables)


def test_what_a_variable_comes_before_is_known(tmp_path):
    (tmp_path / "xfworker.toml").write_text("[http]\nattempts = 2\n")
    loaded = load_settings({"XFWORKER_HTTP_ATTEMPTS": "9"}, tmp_path)
    assert loaded.overruled == {"http.attempts": f"{tmp_path / 'xfworker.toml'}, line 2"}


def test_a_folder_that_cannot_be_looked_into_is_a_sentence(tmp_path, monkeypatch):
    def refused(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_file", refused)
    with pytest.raises(ConfigurationError, match=r"xfworker\.toml: Permission denied"):
        load_settings({}, tmp_path)


KEYS = st.text(st.sampled_from("ab.\"'\\ é#]"), max_size=3)
VALUES = st.recursive(
    st.integers() | st.booleans() | st.text("a\n\"'\\#[]{}=,", max_size=6),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n") + '"', '"""\n' + escaped + '"""'


def written(value, draw):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        gap = draw(st.sampled_from(["", "\n", " # no end ]\n"]))
        return "[" + "".join(f"{gap}{written(item, draw)}{gap}," for item in value) + "]"
    return draw(st.sampled_from(quoted(value))) if isinstance(value, str) else str(value)


@given(content=st.dictionaries(KEYS, VALUES, max_size=5), data=st.data())
def test_every_key_of_any_file_is_found_on_its_line(content, data):
    text, expected = "", {}
    for key, value in content.items():
        text += data.draw(st.sampled_from(["", "# x = [\n", "\n"]))
        expected[(key,)] = text.count("\n") + 1
        text += f"{quoted(key)[0]} = {written(value, data.draw)}\n"
    assert tomllib.loads(text) == content
    found = key_lines(text)
    assert {path: line for path, line in found.items() if len(path) == 1} == expected


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_of_a_secret_that_holds_none_is_said_so(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"secret key file .*key"):
        read_secret(tmp_path / "key", "secret key")
    (tmp_path / "key").write_bytes(b"the-key\n")
    assert read_secret(tmp_path / "key", "secret key") == "the-key"
