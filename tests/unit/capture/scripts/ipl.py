"""Hands an image over to a program that reads IPL's formats."""

import shutil

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
source = worker.get_ipl_image_path(worker.job["inputs"]["image"], auto_convert_from_omni=True)
target = worker.create_output_path(source, "_GAUSS.AIM")
shutil.copyfile(source, target)
worker.upload_output_file(target)
worker.finish({"image": worker.create_output_image(target.name, [4, 3, 2])})
