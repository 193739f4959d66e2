"""A report over sequences of earlier jobs."""

import csv
import statistics

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]
with worker.server_connection() as connection:
    volumes = xfworkerutil.get_xf_parameter_float_sequence(connection, inputs["volumes"])
    first, second = xfworkerutil.get_xf_parameter_paired_float_sequences(connection, inputs["volumes"], inputs["ages"])
    jobs = list(xfworkerutil.get_xf_jobs_by_task(connection, inputs["volumes"]["task_serial"]))
table = worker.create_temp_path("table.csv")
with table.open("w", newline="") as file:
    csv.writer(file).writerows([("volume", "age"), *zip(first, second)])
page = worker.create_temp_path("report.html")
page.write_text(f"<p>{len(jobs)} jobs, mean {statistics.mean(volumes)}</p>")
worker.upload_output_file(table)
worker.upload_output_file(page)
worker.set_output_units({"mean": "mm3"})
worker.finish(
    {
        "mean": statistics.mean(volumes),
        "table": worker.create_output_csv(table.name),
        "page": worker.create_output_html_document(page.name),
    }
)
