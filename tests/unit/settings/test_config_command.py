import json

import pytest

from xfworker.api.cli.config import check, show


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def shown(capsys):
    show(as_json=True)
    return json.loads(capsys.readouterr().out)


def test_what_is_in_force_says_where_it_is_from_and_what_it_comes_before(folder, monkeypatch, capsys):
    (folder / "xfworker.toml").write_text("[http]\nattempts = 2\nread_seconds = 5\n")
    monkeypatch.setenv("XFWORKER_HTTP_ATTEMPTS", "9")
    monkeypatch.setenv("XFWORKER_HTTP_REED_SECONDS", "7")
    show()
    text, told = capsys.readouterr()
    (attempts,) = [line for line in text.splitlines() if " http.attempts" in line]
    assert "9" in attempts
    assert f"XFWORKER_HTTP_ATTEMPTS; comes before {folder / 'xfworker.toml'}, line 2" in attempts
    assert "XFWORKER_HTTP_REED_SECONDS (did you mean XFWORKER_HTTP_READ_SECONDS?)" in told
    rows = shown(capsys)["settings"]
    assert rows["http.attempts"]["instead_of"] == f"{folder / 'xfworker.toml'}, line 2"
    assert rows["http.read_seconds"] == {"value": 5.0, "from": f"{folder / 'xfworker.toml'}, line 3"}


def test_no_secret_is_shown_however_it_is_given(folder, monkeypatch, capsys):
    (folder / "xfworker.toml").write_text(
        "[server]\ntoken = 'hunter2'\n[network]\nproxy = 'http://anna:hunter2@proxy:3128'\n"
        "[files]\nkind = 'memory'\n[[files.archives]]\nkind = 's3'\nbucket = 's3://x'\nsecret_key = 'hunter2'\n"
        "[server.options]\npassphrase = 'hunter2'\npwd = ['hunter2']\nurl = 'smb://anna:hunter2@nas/x'\n"
        "inner = [{ auth = 'hunter2' }]\nport = 445\nsince = 2020-01-01\n"
    )
    monkeypatch.setenv("XFWORKER_FILES_OPTIONS", '{"password": "hunter2", "host": "nas"}')
    monkeypatch.setenv("XFWORKER_FILES_SECRET_KEY", "hunter2")
    show()
    printed = "".join(capsys.readouterr())
    document = shown(capsys)
    assert "hunter2" not in printed + json.dumps(document)
    options = document["settings"]["server.options"]["value"]
    assert options["url"] == "smb://(hidden)@nas/x"
    assert (options["port"], options["since"]) == (445, "2020-01-01")
    assert document["settings"]["files.options"]["value"] == {"password": "(hidden)", "host": "nas"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[files]\nkind = 'folder'\nfolder = 'nowhere'\n", "line 3: the file store's folder"),
        (
            "[files]\nkind='memory'\n[[files.archives]]\nkind='memory'\n[[files.archives]]\nkind='folder'\nfolder='no'\n",
            "line 7: the file store's folder",
        ),
        ("[server]\nkind = 'memry'\n", "line 2: server.kind is 'memry', and no adapter of that name is installed"),
        ("[server]\n\ntoken_file = 'none'\n", "line 3: the token file"),
        ("[files]\n\nsecret_key_file = 'none'\n", "line 3: the secret key file"),
        (
            "[files]\nsecret_key = 'a'\nsecret_key_file = 'b'\n",
            "line 3: files.secret_key_file is set beside files.secret_key",
        ),
        ("[tls]\nca_file = 'xfworker.toml'\n", "line 2: could not read the certificate authorities"),
    ],
)
def test_an_adapter_that_cannot_be_made_is_named_with_the_line_of_its_setting(folder, capsys, text, sentence):
    (folder / "xfworker.toml").write_text(text)
    assert check(as_json=True) == 1
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert sentence in fault
