"""Hands the job over to a person where an input is missing."""

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
if worker.job["inputs"]["mask"] is None:
    task = worker.get_current_task()
    worker.switch_to_interactive_mode(f"Please draw a mask for {len(task)} things.")
worker.finish({})
