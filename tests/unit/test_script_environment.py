import os
from pathlib import Path

import pytest
from attrs import asdict

from xfworker.api.composition.script_settings import script_settings, script_variables
from xfworker.api.settings.file import load_settings
from xfworker.domain.job_arguments import JOB_MEMORY, JobArguments
from xfworker.services.worker.script_environment import allowed_variables, script_environment

JOB = JobArguments(job_serial=7, server_host="lab", server_port="1", server_auth="narrow")
SECRETS = {
    "XFWORKER_SERVER_TOKEN": "t",
    "PGPASSWORD": "p",
    "AWS_SECRET_ACCESS_KEY": "s",
    "SLURM_JWT": "j",
    "GITHUB_TOKEN": "g",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "PIP_INDEX_URL": "https://user:password@index",
    "A_NAME_THAT_NOBODY_KNOWS": "x",
}


def test_scripts_get_what_is_allowed_and_nothing_else():
    kept = {"PATH": "/bin", "LANG": "C.UTF-8", "LC_ALL": "C", "HOME": "/home/a", "CUDA_VISIBLE_DEVICES": "0"}
    assert allowed_variables({**SECRETS, **kept, "PYTHONPATH": "/of/the/worker", "VIRTUAL_ENV": "/v"}) == kept


ALLOWED = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_NUMERIC", "TZ", "TZDIR", "DISPLAY",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "SLURM_TMPDIR", "PBS_JOBID", "PBS_NUM_PPN",
    "NCPUS", "SLURM_CONF", "PBS_CONF_FILE", "LSF_ENVDIR", "LSF_SERVERDIR", "CONDOR_CONFIG", "SYSTEMROOT",
    "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "OS", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
    "USERNAME", "USERDOMAIN", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "ALLUSERSPROFILE",
    "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "COMMONPROGRAMFILES", "PUBLIC",
]  # fmt: skip


def test_all_that_scripts_need_of_a_machine_its_batch_system_and_its_network_is_passed():
    base = dict.fromkeys(ALLOWED, "value")
    assert allowed_variables(base) == base


def test_names_count_in_upper_and_lower_case_alike():
    assert allowed_variables({"SystemRoot": r"C:\Windows", "no_proxy": "lab"}) == {
        "SystemRoot": r"C:\Windows",
        "no_proxy": "lab",
    }


def test_a_proxy_with_a_password_stays_with_the_worker():
    base = {"https_proxy": "http://user:password@proxy:3128", "HTTP_PROXY": "http://proxy:3128"}
    assert allowed_variables(base) == {"HTTP_PROXY": "http://proxy:3128"}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert allowed_variables({name: "http://user:password@proxy:3128"}) == {}


def test_a_worker_may_pass_more():
    base = {"LICENSE_SERVER": "lm", "LICENSE_PORT": "1", "OTHER": "o"}
    assert allowed_variables(base, ["LICENSE_*"]) == {"LICENSE_SERVER": "lm", "LICENSE_PORT": "1"}


def test_a_scripts_temporary_files_lie_in_its_own_folder():
    environment = script_environment({"TMPDIR": "/shared"}, JOB, temporary_folder=Path("/jobs/7/temp"))
    assert {environment[name] for name in ("XFTEMP", "TMPDIR", "TEMP", "TMP")} == {str(Path("/jobs/7/temp"))}


def test_the_environment_of_a_script_is_its_runners_without_what_is_meant_for_that_and_with_its_own():
    base = {"PATH": "/bin", "XF_JOB_SERIAL": "6", "XF_OTHER": "o", "xfworker_server_token": "t", "PYTHONPATH": "/lib"}
    folder, modules = Path("/jobs/7/temp"), (Path("/packages/a"), Path("/packages/b"))
    own = {
        "PATH": "/bin",
        "XFWORKER_CONFIG": "",
        **JOB.to_environment(),
        **dict.fromkeys(("XFTEMP", "TMPDIR", "TEMP", "TMP"), str(folder)),
        "PYTHONPATH": os.pathsep.join([*map(str, modules), "/lib"]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "PYTHONFAULTHANDLER": "1",
    }
    options = {"temporary_folder": folder, "module_folders": modules, "settings": {"XFWORKER_CONFIG": ""}}
    assert script_environment(base, JOB, **options) == own
    limited = script_environment(base, JOB, **options, memory_limit_bytes=1 << 30)
    assert limited == {**own, JOB_MEMORY: "1073741824"}


@pytest.fixture
def settings_of(tmp_path):
    def settings_of(text, **environment):
        file = tmp_path / "xfworker.toml"
        file.write_text(text)
        return load_settings({"XFWORKER_CONFIG": str(file), **environment})

    return settings_of


def test_scripts_get_nothing_of_how_their_worker_finds_its_server_and_starts_them(settings_of):
    loaded = settings_of(
        "[server]\nurl = 'https://lab'\ntoken_file = 'token'\ndata = 'lab'\n[server.inputs]\nn = 1\n"
        "[worker]\nfork_server = false\ncontrol_groups = false\n[http]\nattempts = 3\n"
    )
    names = {name for name in script_settings(loaded) if name.startswith(("XFWORKER_SERVER", "XFWORKER_WORKER"))}
    assert names == set()
    assert script_settings(loaded)["XFWORKER_HTTP_ATTEMPTS"] == "3"


def test_scripts_get_the_settings_but_not_the_file_that_holds_the_token(settings_of):
    loaded = settings_of(
        '[server]\nurl = "https://lab"\ntoken = "secret"\nallow_plain_http = true\n'
        "[http]\nread_seconds = 7.5\n[disk.path_map]\n'\\\\a\\b' = \"/mnt\"\n"
        '[files]\nkind = "folder"\nfolder = "store"\n[[files.archives]]\nkind = "folder"\nfolder = "/old"\n'
    )
    variables = script_settings(loaded)
    assert "secret" not in str(variables)
    assert variables["XFWORKER_CONFIG"] == ""
    again = load_settings(variables).settings
    assert again.http.read_seconds == 7.5
    assert again.server.allow_plain_http
    assert again.server.url == again.server.token == ""
    for kept in ("disk", "files"):
        assert asdict(getattr(again, kept)) == asdict(getattr(loaded.settings, kept))


def test_scripts_are_patient_unless_the_settings_say_otherwise(settings_of):
    assert load_settings(script_settings(settings_of(""))).settings.http.attempts == 16
    assert load_settings(script_settings(settings_of("[http]\nattempts = 2\n"))).settings.http.attempts == 2


def test_credentials_of_a_bucket_reach_scripts_only_where_these_use_the_bucket(settings_of):
    bucket = '[files]\nkind = "s3"\nbucket = "s3://a/b"\n'
    assert "AWS_SECRET_ACCESS_KEY" in script_variables(settings_of(bucket), SECRETS)
    assert script_variables(settings_of(""), SECRETS) == {}
    stated = bucket + 'access_key = "a"\nsecret_key = "b"\n'
    assert script_variables(settings_of(stated), SECRETS) == {}
