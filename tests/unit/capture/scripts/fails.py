"""Fails in the middle."""

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
try:
    worker.download_xf_userdata_file("nothing/here.txt")
except Exception as error:
    print("expected:", type(error).__name__)
raise ValueError(f"there is no way on from {sorted(worker.job['inputs'])}")
