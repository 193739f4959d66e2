"""
Look for scans in user data and start a run of two jobs for each: the scan itself, and who it is of.

A scan that has its run already is passed over, so the search can be run as often as one likes.
Inputs: folder (a parameter with virtualpath). Output: found (Int).
"""

import uuid
from collections.abc import Iterator
from typing import Any

import network
import xfsortorder

import xfworkerutil

SUFFIXES = (".isq", ".aim", ".omni")

worker = xfworkerutil.XFWorkerJob()


def scans_in(connection: Any, folder_virtualpath: str) -> Iterator[tuple[str, str]]:
    token = xfworkerutil.get_xf_userdata_token(connection, [("list", folder_virtualpath)])
    files, folders = network.list_files_and_folders_on_filestorage(token)
    for file in files:
        if file["name"].lower().endswith(SUFFIXES):
            yield network.virtualpath_join_file(folder_virtualpath, file["name"]), file["name"]
    for folder in folders:
        yield from scans_in(connection, network.virtualpath_join_folder(folder_virtualpath, folder["virtual_name"]))


with worker.server_connection() as connection:
    scan_type = worker.spawn_xf_task_type_basic(
        connection,
        {"name": "Example.FoundScan", "version": "1.0.0.0", "display_name": "Found scan"},
        {"inputs": [], "outputs": [{"key": "scan", "type": "ForeignFile"}]},
    )
    sample_type = worker.spawn_xf_task_type_basic(
        connection,
        {"name": "Example.FoundSample", "version": "1.0.0.0", "display_name": "Found sample"},
        {"inputs": [], "outputs": [{"key": "sample", "type": "Entity"}]},
    )
    scan_task = worker.spawn_xf_task_basic(connection, scan_type, "Scans", "example-scans")
    sample_task = worker.spawn_xf_task_basic(connection, sample_type, "Samples", "example-samples")

    known = {
        job["outputs"]["scan"]["virtualpath"]
        for job in xfworkerutil.get_xf_jobs_by_task(connection, scan_task["serial"])
    }
    found = [
        scan for scan in scans_in(connection, worker.job["inputs"]["folder"]["virtualpath"]) if scan[0] not in known
    ]
    orders = xfsortorder.following(worker.get_existing_job_sort_orders(connection), 2 * len(found))
    for number, (virtualpath, name) in enumerate(found):
        entity = worker.create_output_entity(str(uuid.uuid4()), name.rpartition(".")[0])
        sample = worker.spawn_xf_job_basic(
            connection, sample_type, sample_task, outputs={"sample": entity}, sort_order=orders[2 * number]
        )
        worker.spawn_xf_job_basic(
            connection,
            scan_type,
            scan_task,
            source_job_serial=sample["serial"],
            outputs={
                "scan": {"type": "ForeignFile", "source": "userdata", "virtualpath": virtualpath, "filename": name}
            },
            sort_order=orders[2 * number + 1],
        )
        worker.progress((number + 1) / len(found) * 100)
    worker.activity_log_message(f"Found {len(found)} new scans")

worker.finish({"found": len(found)})
