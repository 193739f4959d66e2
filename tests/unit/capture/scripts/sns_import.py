"""Imports a measurement from an SNS server."""

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
with worker.server_connection() as connection:
    parameters = xfworkerutil.get_xf_default_sns_server_connection_params(connection)
if parameters is None:
    worker.error("No SNS server is configured.")
print("connecting to", sorted(parameters))
with xfworkerutil.get_sns_server_connection(parameters) as sns:
    measurements = [item for item in sns.measurements(worker.job["inputs"]["sample"])]
    target = worker.create_temp_path("scan.isq")
    sns.fetch(measurements[0]["number"], target)
worker.upload_output_file(target)
worker.finish({"scan": worker.create_output_foreign_file(target.name), "count": len(measurements)})
