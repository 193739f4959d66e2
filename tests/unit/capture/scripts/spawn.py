"""Spawns jobs for files of user data: for one name, or for all that match in a folder."""

import network
import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]


def parameter(virtualpath, filename):
    return {"type": inputs["typename"], "source": "userdata", "virtualpath": virtualpath, "filename": filename}


with worker.server_connection() as connection:
    folder = inputs["folder"]["virtualpath"]
    if inputs["mode"] == "filename":
        names = [inputs["pattern"]]
    else:
        token = xfworkerutil.get_xf_userdata_token(connection, [("list", folder)])
        files, _ = network.list_files_and_folders_on_filestorage(token)
        names = [file["name"] for file in files]
    task_type = next(iter(worker.find_xf_task_types(connection, "Lab.Scan")))
    task = worker.spawn_xf_task_basic(connection, task_type, "Files", "files")
    sizes = []
    for name in names:
        path = worker.download_input_file(parameter(network.virtualpath_join_file(folder, name), name))
        if not (path.match(inputs["pattern"]) or path.match(inputs["pattern"].upper())):
            continue
        sizes.append(path.stat().st_size)
        worker.spawn_xf_job_basic(
            connection, task_type, task, outputs={"file": parameter(network.virtualpath_join_file(folder, name), name)}
        )
worker.finish({"bytes": sum(sizes), "files": len(sizes)})
