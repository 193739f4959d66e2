"""Works with records, rights and outputs that are objects."""

import uuid

import network
import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]
with worker.server_connection() as connection:
    token, seconds = xfworkerutil.get_xf_userdata_token(connection, [("list", "scans")])
    files, folders = network.list_files_and_folders_on_filestorage(token)
    task_type = worker.find_xf_task_type(connection, "Lab.Scan")
    task = worker.spawn_xf_task_basic(connection, task_type, "Scans")
    numbers = []
    for file in files:
        assert "name" in file
        assert len(file) == 1
        entity = worker.create_output_entity(str(uuid.uuid4()), file["name"])
        job = worker.spawn_xf_job_basic(connection, task_type, task, outputs={"sample": entity})
        numbers.append(job["nr"])
        path = worker.download_input_file({"virtualpath": network.virtualpath_join_file("scans", file["name"])})
    volume = sum(row["volume"] for row in xfworkerutil.get_xf_jobs_by_task(connection, 5))
with worker.working_dir as folder:
    assert folder == path.parent
    result = folder / "numbers.txt"
result.write_text(" ".join(map(str, numbers)))
worker.upload_output_file(result)
print(seconds, entity.to_json()["name"], entity.label, len(folders))
worker.finish(
    {
        "numbers": worker.create_output_foreign_file(result.name),
        "sample": entity,
        "volume": volume + inputs["threshold"],
    }
)
