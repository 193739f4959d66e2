"""Looks for scans in user data and starts a run of two jobs for each."""

import uuid

import network
import xfcapture  # noqa: F401  the recorder
import xfsortorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()


def scans(connection, folder):
    token = xfworkerutil.get_xf_userdata_token(connection, [("list", folder)])
    files, folders = network.list_files_and_folders_on_filestorage(token)
    for file in files:
        if file["name"].endswith(".isq"):
            yield network.virtualpath_join_file(folder, file["name"]), file["name"]
    for item in folders:
        yield from scans(connection, network.virtualpath_join_folder(folder, item["virtual_name"]))


with worker.server_connection() as connection:
    scan_type = worker.find_xf_task_type(connection, "Lab.Scan")
    task = worker.spawn_xf_task_basic(connection, scan_type, "Scans", "scans")
    order = max(worker.get_existing_job_sort_orders(connection))
    count = 0
    for virtualpath, name in scans(connection, worker.job["inputs"]["folder"]["virtualpath"]):
        order = xfsortorder.after(order)
        entity = worker.create_output_entity(str(uuid.uuid4()), name.split(".")[0])
        first = worker.spawn_xf_job_basic(connection, scan_type, task, outputs={"sample": entity}, sort_order=order)
        order = xfsortorder.after(order)
        scan = {"type": "ForeignFile", "source": "userdata", "virtualpath": virtualpath, "filename": name}
        worker.spawn_xf_job_basic(
            connection,
            scan_type,
            task,
            source_job_serial=next(iter(first.values())),
            outputs={"scan": scan},
            sort_order=order,
        )
        count += 1
    worker.activity_log_message(f"Found {count} scans", level=xfworkerutil.ActivityLogLevel.INFO)
worker.finish({"found": count})
