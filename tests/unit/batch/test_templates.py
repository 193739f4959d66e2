"""What is submitted for a pilot, for each batch system."""

import json
import re
import shlex
from datetime import UTC, datetime

import pytest

from xfworker.api.composition.batch_systems import batch_systems, own_batch_job
from xfworker.api.composition.pilot_submission import PilotOptions, submitted_text
from xfworker.domain.errors import BatchSystemError, UsageError
from xfworker.services.pilots.template import filled

SERVER = "https://xf.lab:8443"


def text(
    tmp_path, name, *, template=None, gpus=0, values=(), image="registry.lab/xfworker:1", token_file="/s/it's token"
):
    options = PilotOptions(
        cores=8,
        memory_mib=32000,
        gpus=gpus,
        minutes=90,
        idle_minutes=10.0,
        concurrency=2,
        image=image,
        data=tmp_path / "shared data",
        values=dict(values),
    )
    return submitted_text(
        batch_systems()[name], template, options, server=SERVER, logs=tmp_path, token_file=token_file, config=""
    )


def directives(script, prefix):
    return [line.removeprefix(prefix).strip() for line in script.splitlines() if line.startswith(prefix)]


def worker_options(words):
    assert words[-4:-2] != words[-2:]
    options = words[words.index("worker") + 1 :]
    return dict(zip(options[::2], options[1::2], strict=True))


@pytest.mark.parametrize("name", ["slurm", "pbs", "lsf"])
def test_a_script_ends_in_the_worker_with_its_machine_and_its_time(tmp_path, name):
    script = text(tmp_path, name)
    assert script.startswith("#!/bin/sh\n")
    exports = dict(shlex.split(line)[1].split("=", 1) for line in script.splitlines() if line.startswith("export "))
    assert exports["XFWORKER_SERVER_TOKEN_FILE"] == "/s/it's token"
    assert "XFWORKER_CONFIG" not in exports
    *_, last = script.splitlines()
    words = shlex.split(last)
    assert words[0] == "exec"
    assert worker_options(words) == {
        "--server": SERVER,
        "--cores": "8",
        "--memory-mib": "32000",
        "--walltime": "90",
        "--idle-minutes": "10",
        "--grace": "0",
        "--concurrency": "2",
        "--data": str(tmp_path / "shared data"),
    }


def test_slurm_gets_its_directives(tmp_path):
    asked = directives(text(tmp_path, "slurm", gpus=2, values={"partition": "long"}), "#SBATCH")
    assert asked == [
        "--job-name=xfworker-pilot",
        f"--output={tmp_path}/slurm-%j.log",
        "--ntasks=1",
        "--cpus-per-task=8",
        "--mem=32000M",
        "--gres=gpu:2",
        "--time=90",
        "--partition=long",
        "--no-requeue",
    ]
    assert not [line for line in directives(text(tmp_path, "slurm"), "#SBATCH") if re.search("gres|partition", line)]


def test_pbs_gets_its_directives(tmp_path):
    asked = directives(text(tmp_path, "pbs", gpus=1, values={"queue": "long"}), "#PBS")
    assert "-l select=1:ncpus=8:mem=32000mb:ngpus=1" in asked
    assert "-l walltime=01:30:00" in asked
    assert {"-q long", "-r n"} <= set(asked)
    assert not [line for line in asked if line.startswith("-A")]


def test_lsf_gets_its_directives(tmp_path):
    asked = directives(text(tmp_path, "lsf", gpus=1), "#BSUB")
    assert {"-n 8", "-M 32000MB", "-R span[hosts=1]", "-gpu num=1", "-W 90", "-rn"} <= set(asked)


def test_htcondor_gets_a_submit_description(tmp_path):
    described = text(tmp_path, "htcondor", gpus=1)
    lines = described.splitlines()
    assert lines[-1] == "queue 1"
    fields = dict(line.split(" = ", 1) for line in lines[:-1])
    assert (fields["request_cpus"], fields["request_memory"], fields["request_gpus"]) == ("8", "32000MB", "1")
    assert (fields["allowed_job_duration"], fields["kill_sig"]) == ("5400", "SIGTERM")
    assert (fields["job_max_vacate_time"], fields["max_retries"]) == ("60", "0")
    # In its own way of quoting: single quotes around what has blanks, doubled inside.
    assert fields["arguments"].startswith('"-m xfworker worker --server https://xf.lab:8443 ')
    assert f"--data '{tmp_path}/shared data'" in fields["arguments"]
    assert fields["arguments"].endswith(' --batch-job htcondor:$(ClusterId)"')
    assert fields["environment"] == "\"XFTEMP=/tmp 'XFWORKER_SERVER_TOKEN_FILE=/s/it''s token'\""


def test_kubernetes_gets_a_job_that_its_schema_takes(tmp_path):
    validate = pytest.importorskip("kubernetes_validate", reason="the schemas of Kubernetes are not installed")
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load(text(tmp_path, "kubernetes", gpus=1))
    validate.validate(job, "1.29", strict=True)
    pod = job["spec"]["template"]["spec"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 60)
    [container] = pod["containers"]
    assert container["command"][:2] == ["xfworker", "worker"]
    assert "--data" not in container["command"]
    assert container["resources"]["limits"] == {"memory": "32000Mi", "nvidia.com/gpu": "1"}
    assert container["env"][1]["valueFrom"]["secretKeyRef"] == {"name": "xfworker-token", "key": "token"}
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 5400)
    with pytest.raises(UsageError, match="image"):
        text(tmp_path, "kubernetes", image="")


def test_a_template_of_ones_own_has_placeholders_and_values_of_ones_own(tmp_path):
    template = tmp_path / "own.sh"
    template.write_text("#SBATCH -p {{ queue }}\n#SBATCH -A {{account?}}\nsrun {{command}}\n")
    script = text(tmp_path, "slurm", template=template, values={"queue": "long"})
    assert re.fullmatch(r"#SBATCH -p long\nsrun .* -m xfworker worker .*\n", script)
    with pytest.raises(UsageError, match=r"own\.sh has placeholders without a value: queue; there are .*command"):
        text(tmp_path, "slurm", template=template)
    with pytest.raises(UsageError, match="cannot be read"):
        text(tmp_path, "slurm", template=tmp_path / "absent")


def test_what_looks_like_a_placeholder_and_is_none_is_said():
    with pytest.raises(UsageError, match=r"\{\{no-name\}\}"):
        filled("{{no-name}}", {}, "it")
    assert filled("{ {a} }\n${b}\n{{x?}} {{y}}\n", {"x": 0, "y": 1}, "it") == "{ {a} }\n${b}\n"


@pytest.mark.parametrize(
    ("environment", "named", "expected"),
    [
        ({}, None, None),
        (
            {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_CPU": "500"},
            None,
            ("slurm", "7", 4, 2000, None),
        ),
        (
            {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": "1000", "SLURM_JOB_END_TIME": "4600"},
            None,
            ("slurm", "7", None, None, 3600.0),
        ),
        ({"PBS_JOBID": "7.head", "NCPUS": "2", "PBS_WALLTIME": "600"}, None, ("pbs", "7.head", 2, None, 600.0)),
        ({"LSB_JOBID": "7", "LSB_DJOB_NUMPROC": "3"}, None, ("lsf", "7", 3, None, None)),
        ({}, "htcondor:12", ("htcondor", "12", None, None, None)),
        ({"SLURM_JOB_ID": "7"}, "kubernetes:pilot-x", ("kubernetes", "pilot-x", None, None, None)),
    ],
)
def test_a_worker_knows_its_batch_job(environment, named, expected):
    found = own_batch_job(environment, named)
    if found is not None:
        name, job = found
        found = (name, job.job, job.cores, job.memory_mib, job.walltime_seconds)
    assert found == expected


def test_what_looks_like_a_variable_in_a_command_is_none_to_kubernetes():
    assert json.loads(batch_systems()["kubernetes"].quoted(["--name", "$(HOSTNAME)"])) == ["--name", "$$(HOSTNAME)"]


def test_a_worker_in_slurm_knows_until_when_it_may_run():
    found = own_batch_job({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "4600"}, None)
    assert found[1].ends_at == datetime(1970, 1, 1, 1, 16, 40, tzinfo=UTC)


def test_a_batch_job_that_is_none_is_refused():
    with pytest.raises(UsageError, match="SYSTEM:ID"):
        own_batch_job({}, "moab:7")


@pytest.mark.parametrize("name", batch_systems())
@pytest.mark.parametrize("job", ["0", "all", "--user=ben", "ben", "12 13", "-1", "*", ""])
def test_what_a_workers_record_says_and_no_id_is_cancels_nothing(name, job, monkeypatch):
    if name == "kubernetes" and job in {"0", "all", "ben"}:
        pytest.skip("there, these are names of jobs, and of nothing else")
    # Without any command, what ran one would say so.
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BatchSystemError, match="nothing was cancelled"):
        batch_systems()[name].cancel(["12", job])
