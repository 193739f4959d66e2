import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
from xfworker.adapters.process.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def take_and_free():
    blocks = [bytes(400_000) for _ in range(8)]
    del blocks
for _ in range(20):
    take_and_free()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    take_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the switch")
def test_memory_that_was_freed_is_not_faulted_in_again():
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", _FAULTS, mode], capture_output=True, check=True).stdout)
        for mode in ("kept", "left")
    }
    assert faults["kept"] < 100 < faults["left"]
