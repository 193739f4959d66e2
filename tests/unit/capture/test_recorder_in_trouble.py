"""Whatever happens to the recorder or its job, the job goes on as without it, and what can be kept is kept."""

import ast
import json
import os
import subprocess
import sys
import zipfile

import pytest

from xfworker.api.capture import recorder_path
from xfworker.services.capture.reading import OpenCapture

GIGABYTE = 1024**3


def script(stand_in, text, name="job.py"):
    path = stand_in.folder / name
    path.write_text("import xfcapture\nimport xfworkerutil\n" + text)
    return path


def manifest(capture):
    with zipfile.ZipFile(capture) as archive:
        return json.loads(archive.read("capture.json"))


def rows(capture):
    with zipfile.ZipFile(capture) as archive:
        return [json.loads(line) for line in archive.read("calls.jsonl").splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are of POSIX")
@pytest.mark.parametrize("limit", [30_000, 4_000])
def test_a_full_disk_costs_the_capture_its_files_and_the_job_nothing(stand_in, limit, monkeypatch):
    # What the script reached could not be written either, and half of it would be taken for an incomplete measure.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    made = stand_in()
    (made.home / "files/scan.raw").write_bytes(os.urandom(200_000))
    job = script(
        made,
        f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
worker = xfworkerutil.XFWorkerJob()
path = worker.create_temp_path("result.txt")
path.write_text("42")
image = worker._located(worker.job["inputs"]["image"]).with_suffix(".raw")
worker.upload_output_file(path)
worker.create_related_path(image, ".txt")
worker.finish({{"answer": 42}})
print("done")
""",
    )
    capture = made.run(job)

    assert made.result.stdout == "done\n"
    assert made.job["outputs"] == {"answer": 42}
    assert not list(made.captures.glob(".*"))
    if capture is None:
        assert "could not be written" in made.result.stderr
        return
    with OpenCapture(capture) as opened:
        opened.verify()
        assert [call.name for call in opened.calls()][-1] == "XFWorkerJob.finish"
        assert any("room" in file.omitted for file in opened.manifest.files.values())
        assert any("left out" in note or "without" in note for note in opened.manifest.notes)


def test_an_image_of_twenty_gigabytes_is_described_and_not_copied(stand_in):
    made = stand_in()
    with (made.home / "files/huge.isq").open("wb") as file:
        file.truncate(20 * GIGABYTE)
    job = script(
        made,
        """
import pathlib
worker = xfworkerutil.XFWorkerJob()
worker.create_related_path(worker._located({"file": "huge.isq"}), ".txt")
worker.finish({})
""",
    )
    capture = made.run(job)

    (call,) = [row for row in rows(capture) if row["call"] == "XFWorkerJob.create_related_path"]
    assert call["args"]["path"]["file"] == {
        "size": 20 * GIGABYTE,
        "omitted": "it is larger than XFCAPTURE_FILE_MB",
    }
    assert capture.stat().st_size < 200_000


def test_pixels_are_left_out_where_only_metadata_are_asked_for(stand_in):
    capture = stand_in().run("min_max.py", XFCAPTURE_IMAGES="metadata")

    (image,) = [
        row["result"] for row in rows(capture) if row["args"].get("input_parameter", {}).get("file") == "scan.omni"
    ]
    omni, raw = image["state"]["$image"]["files"]
    assert "sha256" in omni["file"]
    assert raw["file"]["omitted"] == "XFCAPTURE_IMAGES leaves pixels out"


def test_threads_are_recorded_call_by_call(stand_in):
    made = stand_in()
    job = script(
        made,
        """
import threading
from concurrent.futures import ThreadPoolExecutor
worker = xfworkerutil.XFWorkerJob()
barrier = threading.Barrier(8)
def work(number):
    barrier.wait()
    path = worker.create_temp_path(f"{number}.txt")
    path.write_text(str(number) * 1000)
    worker.upload_output_file(path)
    return worker.create_output_foreign_file(path.name)
with ThreadPoolExecutor(8) as pool:
    outputs = list(pool.map(work, range(8)))
worker.finish({str(n): output for n, output in enumerate(outputs)})
""",
    )
    capture = made.run(job)

    uploads = [row for row in rows(capture) if row["call"] == "XFWorkerJob.upload_output_file"]
    assert sorted(row["args"]["local_path"]["name"] for row in uploads) == [f"{n}.txt" for n in range(8)]
    assert manifest(capture)["notes"] == []
    with OpenCapture(capture) as opened:
        opened.verify()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are of POSIX")
def test_what_forked_processes_ask_is_recorded_and_only_the_first_process_writes_the_capture(stand_in):
    made = stand_in()
    job = script(
        made,
        """
import multiprocessing, os
worker = xfworkerutil.XFWorkerJob()
def work(number):
    path = worker.working_dir.path / f"{number}.txt"
    path.write_text(str(number) * 5000)
    worker.upload_output_file(path)
context = multiprocessing.get_context("fork")
processes = [context.Process(target=work, args=(n,)) for n in range(3)]
for process in processes:
    process.start()
for process in processes:
    process.join()
worker.finish({"processes": 3})
""",
    )
    capture = made.run(job)

    assert len(list(made.captures.iterdir())) == 1
    recorded = rows(capture)
    uploads = [row for row in recorded if row["call"] == "XFWorkerJob.upload_output_file"]
    assert sorted(row["args"]["local_path"]["name"] for row in uploads) == ["0.txt", "1.txt", "2.txt"]
    assert recorded[-1]["call"] == "XFWorkerJob.finish"
    with OpenCapture(capture) as opened:
        opened.verify()
        assert len(opened.manifest.files) == 3


def test_processes_that_are_started_anew_do_not_write_captures_of_their_own(stand_in):
    made = stand_in()
    job = script(
        made,
        """
import multiprocessing
def work(number):
    return number * 2
if __name__ == "__main__":
    worker = xfworkerutil.XFWorkerJob()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        doubled = pool.map(work, [1, 2])
    worker.finish({"doubled": doubled})
""",
    )
    made.run(job)

    assert made.job["outputs"] == {"doubled": [2, 4]}
    assert len(list(made.captures.iterdir())) == 1


def test_a_fault_of_the_recorder_is_noted_and_the_job_goes_on(stand_in):
    made = stand_in()
    job = script(
        made,
        """
def broken(*args, **kwargs):
    raise RuntimeError("the recorder is broken")
worker = xfworkerutil.XFWorkerJob()
xfcapture._recorder.encode = broken
worker.progress(50)
number = len(worker.find_xf_task_types(None, "Lab.Scan"))
del xfcapture._recorder.encode
worker.finish({"number": number})
""",
    )
    capture = made.run(job)

    assert made.job["outputs"] == {"number": 1}
    assert any("the recorder is broken" in note for note in manifest(capture)["notes"])


def test_a_recorder_that_cannot_even_write_leaves_the_job_as_it_was(stand_in):
    made = stand_in()
    job = script(
        made,
        """
def broken(*args, **kwargs):
    raise RuntimeError("no capture today")
xfcapture._recorder._write = broken
worker = xfworkerutil.XFWorkerJob()
worker.finish({"number": 1})
""",
    )
    assert made.run(job) is None
    assert made.result.returncode == 0
    assert made.job["state"] == "Done"
    assert "no capture today" in made.result.stderr


def test_an_exception_in_the_middle_is_captured_with_its_traceback_and_reported_by_the_module_as_ever(stand_in):
    made = stand_in()
    capture = made.run("fails.py", check=False)

    assert made.result.returncode == 1
    assert made.job["error"].startswith("there is no way on")
    outcome = manifest(capture)["outcome"]
    assert outcome["ending"] == "exception"
    assert outcome["exception"]["class"] == "ValueError"
    assert 'raise ValueError(f"there is no way on' in outcome["traceback"]
    (refused,) = [row for row in rows(capture) if row["call"] == "XFWorkerJob.download_xf_userdata_file"]
    assert refused["raised"]["class"] == "NotFound"
    assert refused["raised"]["state"] == {"status": 404}


@pytest.mark.parametrize(
    ("ending", "code"), [("worker.error('no good')", 1), ("worker.switch_to_interactive_mode('look')", 0), ("pass", 0)]
)
def test_every_ending_leaves_a_capture(stand_in, ending, code):
    made = stand_in()
    capture = made.run(script(made, f"worker = xfworkerutil.XFWorkerJob()\n{ending}\n"), check=False)

    assert made.result.returncode == code
    expected = {"error": "error", "switch": "handed over", "pass": "no finish"}
    assert manifest(capture)["outcome"]["ending"] == next(v for k, v in expected.items() if k in ending)


def test_captures_go_to_user_data_where_no_folder_is_named(stand_in):
    made = stand_in()
    assert made.run("min_max.py", XFCAPTURE_FOLDER="", XFCAPTURE_USERDATA="stand_in/captures/") is None

    (capture,) = (made.home / "user/stand_in/captures").iterdir()
    assert capture.name.startswith("job-17-")
    with OpenCapture(capture) as opened:
        opened.verify()
    assert "captured in user data as stand_in/captures/job-17-" in made.result.stderr


def test_a_capture_that_user_data_refuses_is_kept_and_that_is_said_without_the_token(stand_in, tmp_path):
    made = stand_in()
    job = script(
        made,
        """
import os
def refuse(self, local_path, virtualpath):
    raise xfworkerutil.XFError("refused for " + os.environ["STAND_IN_AUTH"])
xfcapture._recorder.originals["XFWorkerJob.upload_xf_userdata_file"] = refuse
xfworkerutil.XFWorkerJob().finish({})
""",
    )
    made.run(job, XFCAPTURE_FOLDER="", TMPDIR=str(tmp_path))

    assert "refused for [secret]" in made.result.stderr
    (kept,) = tmp_path.glob("job-17-*.xfcap")
    with OpenCapture(kept) as opened:
        opened.verify()


def test_a_recorder_that_is_switched_off_does_nothing(stand_in):
    assert stand_in().run("min_max.py", XFCAPTURE_OFF="1") is None


def test_names_of_patients_are_blanked_on_request_in_records_logs_and_images(stand_in):
    made = stand_in()
    header = bytearray(b"CTDATA-HEADER_V1".ljust(512, b"\0"))
    header[128:136] = b"DOE^JANE"
    header[28:32] = (4711).to_bytes(4, "little")
    (made.home / "user/scans/a.isq").write_bytes(header)
    lines = ["!", "Patient Name                  DOE^JANE", "Index Patient                 4711", "Mu_Scaling 4096"]
    log = "\n".join(lines).encode()
    (made.home / "user/scans/b.isq").write_bytes(log)
    job = script(
        made,
        """
worker = xfworkerutil.XFWorkerJob()
task = worker.get_current_task()
entity = worker.get_run_entity()
for name in ("a.isq", "b.isq"):
    worker.download_input_file({"source": "userdata", "virtualpath": "scans/" + name})
print("Patient Name: DOE^JANE")
worker.finish({})
""",
    )
    capture = made.run(job, XFCAPTURE_BLANK_NAMES="1")

    with zipfile.ZipFile(capture) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist() if not name.startswith("package/"))
    assert b"JANE" not in everything
    assert b"Doe^Jane" not in everything
    assert b"4711" not in everything
    assert b"Mu_Scaling 4096" in everything
    with OpenCapture(capture) as opened:
        opened.verify()
        assert [file.is_blanked for file in opened.manifest.files.values()] == [True, True]


def test_files_that_hold_a_token_are_blanked_where_it_stands(stand_in, secrets):
    made = stand_in()
    job = script(
        made,
        """
import base64, os
worker = xfworkerutil.XFWorkerJob()
token = os.environ["STAND_IN_AUTH"]
path = worker.create_temp_path("debug.txt")
path.write_bytes(b"x" * (1024 * 1024 - 7) + token.encode() + b"|" + base64.b64encode(token.encode()) + b"|end")
worker.upload_output_file(path)
print(token)
print("GET https://fss.example/file?size=3&access_token=unknown99&x=1 Authorization: Bearer nobody.knows.this")
print("postgres://reader:letmein@db.example/x")
arguments = xfworkerutil.XFWorkerArguments()
print(arguments.job_serial, arguments.server_host, arguments.server_port == "8443")
worker.finish({"debug": worker.create_output_foreign_file(path.name), "note": "Bearer " + token})
""",
    )
    capture = made.run(job)

    with zipfile.ZipFile(capture) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not any(secret.encode() in content for secret in secrets for content in contents.values())
    (file,) = [content for name, content in contents.items() if name.startswith("files/")]
    assert file.endswith(b"*|end")
    assert contents["log.txt"].decode().splitlines() == [
        "[secret]",
        "GET https://fss.example/file?size=3&access_token=[secret]&x=1 Authorization: Bearer [secret]",
        "postgres://[secret]@db.example/x",
        "17 [secret] True",
    ]
    assert manifest(capture)["outcome"]["args"]["outputs"]["note"] == "Bearer [secret]"


def test_the_recorder_is_python_39_of_the_standard_library_alone():
    source = recorder_path().read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 9))

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not [node for node in ast.walk(tree) if type(node).__name__ == "Match"]


def test_importing_the_recorder_from_this_package_records_nothing():
    code = "import sys; before = sys.excepthook; import xfworker.api.capture.xfcapture as r; "
    code += "assert r._recorder is None and sys.excepthook is before"
    subprocess.run([sys.executable, "-c", code], check=True)
