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

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 480, 80, 48, 24, 64
TICKS = 5


def axis(values: list[float]) -> tuple[float, float]:
    """Give the ends of an axis: the values with some room, and room all the same where they are equal."""
    low, high = min(values), max(values)
    room = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
draw = ImageDraw.Draw(picture)
(left, right), (bottom, top) = axis(fractions), axis(densities)


def place(fraction: float, density: float) -> tuple[float, float]:
    """Give the pixel of a point."""
    return (
        LEFT + (fraction - left) / (right - left) * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - (density - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM),
    )


for tick in range(TICKS + 1):
    fraction = left + (right - left) * tick / TICKS
    density = bottom + (top - bottom) * tick / TICKS
    x, y = place(fraction, density)
    draw.line((x, TOP, x, HEIGHT - BOTTOM), fill="#e0e0e0")
    draw.line((LEFT, y, WIDTH - RIGHT, y), fill="#e0e0e0")
    draw.text((x, HEIGHT - BOTTOM + 8), f"{fraction:.3f}", fill="black", anchor="ma")
    draw.text((LEFT - 8, y), f"{density:.0f}", fill="black", anchor="rm")
draw.rectangle((LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM), outline="black")
draw.text((WIDTH / 2, HEIGHT - 24), "bone volume fraction", fill="black", anchor="ma")
draw.text((LEFT, TOP - 12), f"mean density [mg HA/ccm], {len(fractions)} runs", fill="black", anchor="lb")
for fraction, density in zip(fractions, densities, strict=True):
    x, y = place(fraction, density)
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill="#c0392b", outline="white")
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
