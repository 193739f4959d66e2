import json
import os
import subprocess
import sys

import pytest

from xfworker.api.composition.files_location import files_location
from xfworker.api.composition.network import server_url
from xfworker.api.composition.provided_session import provided_session
from xfworker.api.composition.session import session
from xfworker.api.facade.omni import open_image
from xfworker.api.settings.file import load_settings
from xfworker.api.settings.model import FilesSettings, ImagesSettings, ServerSettings, Settings
from xfworker.domain.errors import ConfigurationError, ImageError, UsageError
from xfworker.domain.job_arguments import JobArguments


def arguments(host, port="8443"):
    return JobArguments(job_serial=1, server_host=host, server_port=port, server_auth="t0ken")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("xf.lab.example", "https://xf.lab.example:8443"),
        ("127.0.0.1", "http://127.0.0.1:8443"),
        ("localhost", "http://localhost:8443"),
        ("::1", "http://[::1]:8443"),
        ("https://localhost", "https://localhost:8443"),
        ("https://lab.example/xamflow/", "https://lab.example:8443/xamflow"),
        ("2001:db8::7", "https://[2001:db8::7]:8443"),
    ],
)
def test_the_address_follows_from_host_and_port(host, url):
    assert server_url(arguments(host)) == url


@pytest.mark.parametrize("host", ["https://lab:99", "https://", "https://lab/x?y=1", "http://[::1"])
def test_malformed_hosts_are_refused(host):
    with pytest.raises(ConfigurationError, match="malformed"):
        server_url(arguments(host))


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("XF_JOB_SERIAL", None, "XF_JOB_SERIAL"),
        ("XF_JOB_SERIAL", "seven", "XF_JOB_SERIAL"),
        ("XF_SERVER_HOST", "", "XF_SERVER_HOST"),
        ("XF_SERVER_PORT", "99999", "XF_SERVER_PORT"),
        ("XF_SERVER_AUTH", None, "XF_SERVER_AUTH"),
    ],
)
def test_a_missing_or_malformed_variable_is_named(monkeypatch, name, value, part):
    good = {"XF_JOB_SERIAL": "1", "XF_SERVER_HOST": "h", "XF_SERVER_PORT": "1", "XF_SERVER_AUTH": "secret-token"}
    for key, text in {**good, name: value}.items():
        if text is None:
            monkeypatch.delenv(key, raising=False)
        else:
            monkeypatch.setenv(key, text)
    with pytest.raises(ConfigurationError) as caught:
        session()
    assert part in str(caught.value)
    assert "secret-token" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    def install(code, **names):
        info = tmp_path / "lab_adapters-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-adapters\nVersion: 1.0\n")
        lines = [f"{name} = lab_adapters:{target}" for name, target in names.items()]
        (info / "entry_points.txt").write_text("[xfworker.adapters]\n" + "\n".join(lines).replace("__", "."))
        (tmp_path / "lab_adapters.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "lab_adapters", raising=False)

    return install


def test_an_adapter_of_somebody_else_is_found_by_its_entry_point(installed, tmp_path):
    installed(
        "from xfworker.adapters.disk.file_store import FolderFileStore\n"
        "from pathlib import Path\n"
        "def open_store(folder):\n    return FolderFileStore(Path(folder))\n",
        files__lab="open_store",
    )
    chosen = Settings(files=FilesSettings(kind="lab", options={"folder": str(tmp_path / "store")}))
    made = session(chosen, arguments=arguments("localhost"))
    made.files.close()
    made.close()
    assert type(made.files._make()).__name__ == "FolderFileStore"


def test_a_server_of_somebody_else_is_told_the_arguments(installed):
    installed(
        "class Server:\n    def __init__(self, arguments, colour):\n"
        "        self.seen = (arguments.job_serial, colour)\n",
        server__lab="Server",
    )
    chosen = Settings(server=ServerSettings(kind="lab", options={"colour": "red"}))
    assert session(chosen, arguments=arguments("localhost")).server.seen == (1, "red")


def test_an_adapter_that_is_not_installed_is_named_with_those_that_are(installed):
    installed("", files__smb="x")
    chosen = Settings(files=FilesSettings(kind="smbb"))
    with pytest.raises(ConfigurationError) as caught:
        session(chosen, arguments=arguments("localhost")).files.stat(None, None)
    assert "fss, folder, s3, memory, smb; did you mean smb?" in str(caught.value)


def test_an_adapter_that_cannot_be_made_is_one_sentence(installed):
    installed("def open_store():\n    raise RuntimeError('no share')\n", files__lab="open_store")
    chosen = Settings(files=FilesSettings(kind="lab"))
    with pytest.raises(ConfigurationError, match="failed: RuntimeError: no share"):
        session(chosen, arguments=arguments("localhost")).files.stat(None, None)


_OTHER_CODEC = (
    "class Other:\n"
    "    name, suffixes, encodings = 'other', ('.other',), ()\n"
    "    def recognises(self, path, head):\n        return head.startswith(b'OTHER')\n"
    "    def describe(self, path):\n        raise ValueError('the other codec was asked')\n"
)


def _image(path):
    path.write_bytes(b"OTHER")
    return path


def test_a_codec_of_the_settings_takes_part_in_the_session_that_names_it_and_in_no_other(installed, tmp_path):
    installed(_OTHER_CODEC, images__other="Other")
    path = _image(tmp_path / "scan.other")
    chosen = Settings(images=ImagesSettings(codecs=["other"]))
    with pytest.raises(ValueError, match="the other codec was asked"):
        session(chosen, arguments=arguments("localhost")).images.describe(path)
    with pytest.raises(ImageError):
        session(Settings(), arguments=arguments("localhost")).images.describe(path)


def test_images_opened_outside_of_a_session_know_the_codecs_of_the_settings(installed, tmp_path, monkeypatch):
    installed(_OTHER_CODEC, images__other="Other")
    monkeypatch.setenv("XFWORKER_IMAGES_CODECS", '["other"]')
    with pytest.raises(ValueError, match="the other codec was asked"):
        open_image(_image(tmp_path / "scan.other"))


def test_images_opened_inside_a_provided_session_have_its_formats(installed, tmp_path):
    installed(_OTHER_CODEC, images__other="Other")
    provided = session(Settings(images=ImagesSettings(codecs=["other"])), arguments=arguments("localhost"))
    with provided_session(provided), pytest.raises(ValueError, match="the other codec was asked"):
        open_image(_image(tmp_path / "scan.other"))


def test_a_session_that_names_a_codec_which_is_not_installed_does_not_begin(installed):
    installed("", images__other="x")
    with pytest.raises(ConfigurationError, match="did you mean other"):
        session(Settings(images=ImagesSettings(codecs=["othr"])), arguments=arguments("localhost"))


@pytest.mark.parametrize("kind", ["memory", "embedded"])
def test_a_script_started_by_hand_gets_a_server_of_its_own(tmp_path, kind):
    (tmp_path / "xfworker.toml").write_text(
        f'[server]\nkind = "{kind}"\n[server.inputs]\nn = 41\ntable = {{ file = "t.csv" }}\n'
    )
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "task.py").write_text(
        "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"
        "text = worker.download_input_file(inputs['table']).read_text()\n"
        "worker.finish({'n': inputs['n'] + 1, 'text': text, 'type': inputs['table']['type']})\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    done = subprocess.run(
        [sys.executable, "task.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stderr.splitlines()[-1].partition("outputs: ")[2])
    assert outputs == {"n": 42, "text": "a,b\n1,2\n", "type": "CSV"}


@pytest.mark.parametrize("kind", ["memory", "embedded"])
@pytest.mark.parametrize(
    "store", ['kind = "folder"\nfolder = "lab"', '[[files.archives]]\nkind = "folder"\nfolder = "lab"']
)
def test_a_script_started_by_hand_writes_into_no_store_of_other_servers(tmp_path, kind, store):
    kept = tmp_path / "lab" / "job_result" / "1" / "result.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("of the lab")
    file = tmp_path / "xfworker.toml"
    file.write_text(f'[server]\nkind = "{kind}"\n[files]\n{store}\n')
    with pytest.raises(ConfigurationError, match="would replace those of other servers' jobs"):
        session(load_settings({"XFWORKER_CONFIG": str(file)}).settings)
    assert kept.read_text() == "of the lab"


def test_commands_look_after_the_folder_that_the_settings_choose(tmp_path):
    chosen = Settings(files=FilesSettings(kind="folder", folder=tmp_path))
    assert files_location(None, chosen) == tmp_path
    assert files_location(str(tmp_path / "named"), chosen) == tmp_path / "named"
    assert files_location(None, Settings()) is None


def test_commands_look_after_the_bucket_that_the_settings_choose_and_show_no_secret():
    chosen = Settings(files=FilesSettings(kind="s3", bucket="s3://a/b", endpoint="http://h", secret_key="hush"))
    location = files_location(None, chosen)
    assert (location.url, location.endpoint, location.secret_key) == ("s3://a/b", "http://h", "hush")
    assert "hush" not in repr(location)
    assert files_location("s3://other", chosen).url == "s3://other"


def test_commands_refuse_a_store_that_no_server_offers():
    with pytest.raises(UsageError, match=r"files.kind = 'smb'.* name the folder .* with --files"):
        files_location(None, Settings(files=FilesSettings(kind="smb")))
