"""The sink that uploads are held against."""

import subprocess
import sys

import pytest

pytest.importorskip("granian")


def test_the_sink_ends_with_the_benchmark_that_started_it(tmp_path):
    command = [sys.executable, "-m", "benchmarks.hashing_sink", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        try:
            assert sink.stdout.readline().strip().isdigit()
            sink.stdin.close()
            assert sink.wait(60) == 0
        finally:
            sink.kill()
