"""Where a person waits for bytes at a terminal, bars show how far they are; programs never see them."""

import os
import subprocess
import sys
import threading

import pytest

pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")

MIB = 1 << 20
SCRIPT = """
import xfworkerutil
worker = xfworkerutil.XFWorkerJob()
path = worker.download_input_file(worker.job["inputs"]["scan"])
out = worker.create_output_path(path, "[_b].bin")
out.write_bytes(path.read_bytes())
worker.upload_output_file(out)
worker.finish({"copy": {"type": "ForeignFile", "source": "job_result", "job_serial": worker.job["serial"],
                        "filename": out.name}})
"""
MOVING = "\x1b[?25l"  # the cursor is hidden while bars are drawn


def at_a_terminal(folder, *words, **variables):
    """Run the command line with standard error on a terminal; give its exit code, output, and what was drawn."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XF", "FORCE", "NO_COL"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "xfworker", *words],
        cwd=folder,
        env={**environment, "TERM": "xterm", "COLUMNS": "200", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    drawn = bytearray()

    def read():
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side was closed
                return
            if not block:
                return
            drawn.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=120)
    reader.join()
    os.close(ours)
    return process.returncode, out.decode(), drawn.decode()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "duplicate.py").write_text(SCRIPT)
    (tmp_path / "[b]scan.bin").write_bytes(bytes(12 * MIB))
    return tmp_path


def test_run_and_bundle_show_transfers_to_a_person(folder):
    code, _, drawn = at_a_terminal(folder, "run", "duplicate.py", "scan@[b]scan.bin", "--data", "lab")
    assert code == 0, drawn
    assert "upload job_result/1/[b]scan.bin" in drawn
    assert "download job_result/2/[b]scan[_b].bin" in drawn

    code, _, drawn = at_a_terminal(folder, "job", "bundle", "2", "--data", "lab")
    assert code == 0, drawn
    assert "writing job-2.xfjob" in drawn

    code, _, drawn = at_a_terminal(folder, "run", "--bundle", "job-2.xfjob", "--compare")
    assert code == 0, drawn
    assert "upload job_result/1/[b]scan.bin" in drawn
    assert "download job_result/2/[b]scan[_b].bin" in drawn


def test_with_json_nothing_is_drawn_for_transfers(folder):
    code, out, drawn = at_a_terminal(folder, "run", "duplicate.py", "scan@[b]scan.bin", "--data", "lab", "--json")
    assert (code, out[0]) == (0, "{"), drawn
    assert "upload job" not in drawn

    code, out, drawn = at_a_terminal(folder, "job", "bundle", "2", "--data", "lab", "--json")
    assert (code, out[0]) == (0, "{"), drawn
    assert MOVING not in drawn


def test_without_a_terminal_nothing_moves_even_where_colours_are_forced(folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    done = subprocess.run(
        [sys.executable, "-m", "xfworker", "run", "duplicate.py", "scan@[b]scan.bin"],
        cwd=folder,
        env={**environment, "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
