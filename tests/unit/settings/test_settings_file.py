from pathlib import Path

import pytest
from attrs import asdict

from xfworker.api.settings.file import load_settings
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import ConfigurationError


@pytest.fixture
def load(tmp_path):
    def load(text=None, **variables):
        if text is not None:
            (tmp_path / "xfworker.toml").write_text(text, "utf-8")
        return load_settings(variables, tmp_path)

    return load


@pytest.fixture
def faults(load):
    def faults(text=None, **variables):
        with pytest.raises(ConfigurationError) as caught:
            load(text, **variables)
        return str(caught.value)

    return faults


def test_nothing_said_gives_the_defaults(load):
    assert asdict(load().settings) == asdict(Settings())


def test_a_file_in_the_working_directory_is_read(load, tmp_path):
    loaded = load('# house rules\n[http]\nread_seconds = 5\n[disk.path_map]\n"\\\\\\\\srv\\\\share" = "/mnt"\n')
    assert loaded.settings.http.read_seconds == 5.0
    assert loaded.settings.disk.path_map == {"\\\\srv\\share": "/mnt"}
    assert loaded.sources["http.read_seconds"] == f"{tmp_path / 'xfworker.toml'}, line 3"


def test_variables_come_before_the_file(load):
    loaded = load("[http]\nattempts = 2\nread_seconds = 7\n", XFWORKER_HTTP_ATTEMPTS="9")
    assert (loaded.settings.http.attempts, loaded.settings.http.read_seconds) == (9, 7.0)
    assert loaded.sources["http.attempts"] == "environment variable XFWORKER_HTTP_ATTEMPTS"


def test_the_named_file_comes_before_the_one_here(load, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("[http]\nattempts = 3\n")
    assert load("[http]\nattempts = 2\n", XFWORKER_CONFIG=str(other)).settings.http.attempts == 3


def test_an_empty_name_means_no_file(load):
    assert load("[http]\nattempts = 2\n", XFWORKER_CONFIG="").settings.http.attempts == 4


def test_a_named_file_must_be_there(faults):
    assert f"XFWORKER_CONFIG names {Path('/no/such.toml')}" in faults(XFWORKER_CONFIG="/no/such.toml")


def test_the_platforms_folder_is_looked_into_last(load, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    folder = tmp_path / "home" / ".config" / "xfworker"
    folder.mkdir(parents=True)
    (folder / "xfworker.toml").write_text("[http]\nattempts = 6\n")
    assert load(HOME=str(tmp_path / "home")).settings.http.attempts == 6
    assert load("[http]\nattempts = 2\n", HOME=str(tmp_path / "home")).settings.http.attempts == 2


def test_paths_are_relative_to_the_file(load, tmp_path):
    assert load('[disk]\ntemp_directory = "scratch"\n').settings.disk.temp_directory == tmp_path / "scratch"


def test_every_wrong_key_and_value_is_named_with_its_line(faults, tmp_path):
    text = faults('[http]\nreed_seconds = 5\nattempts = "many"\n\n[nonsense]\nx = 1\n\n[server]\nurl = 5\n')
    place = tmp_path / "xfworker.toml"
    assert f"{place}, line 2: http.reed_seconds is not a setting; did you mean http.read_seconds?" in text
    assert f"{place}, line 3: http.attempts: expected an integer, got 'many'" in text
    assert f"{place}, line 5: nonsense is not a setting" in text
    assert f"{place}, line 9: server.url: expected a string in quotes, got 5" in text


def test_a_value_out_of_range_is_named_with_its_line(faults, tmp_path):
    text = faults('[logging]\nlevel = "loud"\n[http]\nattempts = 0\n')
    assert f"{tmp_path / 'xfworker.toml'}, line 2: logging.level is 'loud'" in text
    assert f"{tmp_path / 'xfworker.toml'}, line 4: http.attempts is 0; it must be at least 1" in text


def test_a_wrong_variable_is_named(faults):
    assert "environment variable XFWORKER_HTTP_ATTEMPTS: expected an integer" in faults(XFWORKER_HTTP_ATTEMPTS="x")


def test_a_variable_that_is_no_setting_is_told_but_no_fault(load):
    assert load(XFWORKER_HTTP_ATEMPTS="5").ignored == {"XFWORKER_HTTP_ATEMPTS": "XFWORKER_HTTP_ATTEMPTS"}


def test_broken_toml_names_the_line(faults):
    assert "line 2" in faults("[http]\nattempts = = 1\n")


def test_a_secret_is_not_shown_in_a_fault(faults, load):
    text = faults('[server]\ntoken = ["s3cret-token"]\n')
    assert "s3cret" not in text
    assert "4711" not in faults("[server]\ntoken = 4711\n[files]\nsecret_key = 4711\n")
    assert "s3cret" not in repr(load('[server]\ntoken = "s3cret-token"\n').settings)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("yes", True), ("0", False)])
def test_truth_in_variables(load, text, value):
    assert load(XFWORKER_SERVER_ALLOW_PLAIN_HTTP=text).settings.server.allow_plain_http is value


def test_tables_in_variables_are_json(load):
    assert load(XFWORKER_DISK_PATH_MAP='{"/a": "/b"}').settings.disk.path_map == {"/a": "/b"}


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "xfworker.toml").write_bytes(b"\xef\xbb\xbf[http]\nattempts = 2\n")
    assert load_settings({}, Path(tmp_path)).settings.http.attempts == 2
