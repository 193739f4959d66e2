"""Bone volume fraction against density over all runs, as picture and table."""

import csv

from PIL import Image, ImageDraw

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

with worker.server_connection() as connection:
    fractions, densities = xfworkerutil.get_xf_parameter_paired_float_sequences(
        connection, inputs["fractions"], inputs["densities"]
    )
if not fractions:
    worker.error("No run has both a volume fraction and a density yet.")

table = worker.create_temp_path("runs.csv")
with table.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["volume_fraction", "mean_density"])
    writer.writerows(zip(fractions, densities, strict=True))

width, height, margin = 480, 360, 40
picture = Image.new("RGB", (width, height), "white")
draw = ImageDraw.Draw(picture)
draw.rectangle((margin, margin, width - margin, height - margin), outline="black")
draw.text((margin, height - margin + 8), "volume fraction 0 to 1", fill="black")
draw.text((margin, margin - 24), f"mean density, mg HA/ccm, up to {max(densities):.0f}", fill="black")
top = max(densities) or 1.0
for fraction, density in zip(fractions, densities, strict=True):
    x = margin + fraction * (width - 2 * margin)
    y = height - margin - max(density, 0.0) / top * (height - 2 * margin)
    draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill="red")
chart = worker.create_temp_path("chart.png")
picture.save(chart)

for path in (chart, table):
    worker.upload_output_file(path)
worker.finish(
    {
        "chart": worker.create_output_bitmap(chart.name),
        "table": worker.create_output_csv(table.name),
        "runs": len(fractions),
        "mean_fraction": sum(fractions) / len(fractions),
    }
)
