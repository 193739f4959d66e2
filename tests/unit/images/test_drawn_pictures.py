"""Pictures with letters: dot by dot what people have looked at and found right, and scale bars of round lengths."""

import string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.annotations import INK, annotated, with_scale_bar, with_sides
from xfworker.services.images.histograms import Histogram, histogram
from xfworker.services.images.lettering import draw, drawn_text, string_dots
from xfworker.services.images.pictures import View, Window, coloured, montage_views, slice_view

LOOKED_AT = Path(__file__).parent / "looked_at"
DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.2, intercept=-390.0)
TURNED = (-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0)
LETTERS = string.ascii_letters + string.digits + ".-+/[]%()^"


def looks_as_in(name, pixels):
    with Picture.open(LOOKED_AT / name) as picture:
        np.testing.assert_array_equal(pixels, np.asarray(picture), f"look at what is drawn now in place of {name}")


@pytest.fixture
def scan(write_array, tmp_path, bone):
    return write_array(
        tmp_path / "scan.omni", bone, spacing_mm=(0.05, 0.1, 0.2), direction=TURNED, calibrations=(DENSITY,)
    )


def test_every_letter_of_a_unit_or_a_number_is_drawn_and_none_like_another():
    drawn = {letter: string_dots(letter, 1) for letter in LETTERS}
    assert {mark.shape for mark in drawn.values()} == {(7, 5)}
    assert len({mark.tobytes() for mark in drawn.values()}) == len(LETTERS)
    assert all(mark.any() for mark in drawn.values())
    assert not string_dots(" ", 1).any()
    looks_as_in("letters.png", np.concatenate([string_dots(LETTERS[at : at + 12], 2) for at in range(0, 72, 12)]))
    rows = ["".join(".#"[dot] for dot in row) for row in string_dots("L0", 1).tolist()]
    assert rows == [
        "#......###.",
        "#.....#...#",
        "#.....#..##",
        "#.....#.#.#",
        "#.....##..#",
        "#.....#...#",
        "#####..###.",
    ]


def test_letters_have_their_middle_where_it_is_asked_for_and_are_cut_at_the_sides():
    picture = np.zeros((20, 30, 3), np.uint8)
    drawn_text(picture, "HH", (10, 15), size=2, colour=(1, 2, 3))
    rows, columns = picture.any(axis=2).nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 16, 4, 25)
    assert set(map(tuple, picture[rows, columns].tolist())) == {(1, 2, 3)}
    corner = np.zeros((4, 4, 4), np.uint8)
    draw(corner, np.ones((9, 9), np.bool_), -2, -3, (7, 8, 9))
    assert set(map(tuple, corner.reshape(-1, 4).tolist())) == {(7, 8, 9, 0)}


@pytest.mark.parametrize("bins", [20, 1300])
def test_a_histogram_looks_as_it_should(formats, scan, bins):
    with formats.reader(scan) as reader:
        picture = histogram(reader, bins=bins, unit_type="Density").to_picture()
    looks_as_in(f"histogram_{bins}.png", picture)


def test_slices_with_sides_and_lengths_look_as_they_should(formats, scan, write_array, tmp_path, bone):
    segments = (bone[2:9, 3:16, 5:25] > 2000).astype(np.uint8) + (bone[2:9, 3:16, 5:25] > 2500)
    with formats.reader(scan) as reader:
        origin = tuple(np.reshape(TURNED, (3, 3)) @ (5 * 0.05, 3 * 0.1, 2 * 0.2))
        above = write_array(
            tmp_path / "s.omni", segments, spacing_mm=(0.05, 0.1, 0.2), direction=TURNED, origin_mm=origin,
            kind="segments",
        )  # fmt: skip
        with formats.reader(above) as overlay:
            looks_as_in("montage.png", annotated(montage_views(reader, overlay=overlay), reader.info).pixels)
    with formats.reader(above) as reader:
        looks_as_in("segments.png", annotated([slice_view(reader, "x")], reader.info).pixels)


def test_labels_have_the_colours_that_they_always_had():
    labels = np.arange(14, dtype=np.uint8).reshape(2, 7).repeat(8, axis=0).repeat(8, axis=1)
    looks_as_in("labels.png", coloured(labels))


def test_letters_grow_with_the_picture(describe_array):
    info = describe_array(np.zeros((1, 40, 601), np.uint8))
    view = View(np.full((40, 601), 99, np.uint8), 0.05, Window(0, 1), "z")
    looks_as_in("wide.png", with_scale_bar([with_sides(view, info)]).pixels)


def test_a_picture_that_is_narrower_than_its_scale_bar_gets_the_room_for_it():
    picture = with_scale_bar([View(np.zeros((300, 30), np.uint8), 0.1, None, "z")]).pixels
    ink = (picture == INK).all(axis=2)
    columns = ink.any(axis=0).nonzero()[0]
    assert columns[0] == ink.shape[1] - 1 - columns[-1] == 8
    np.testing.assert_array_equal(ink[306:320, 26:], np.pad(string_dots("1 mm", 2), ((0, 0), (0, 8))))


def test_a_bar_of_a_histogram_reaches_the_top_where_the_count_is_the_highest():
    picture = Histogram(np.array([0.0, 1.0, 2.0]), np.array([1, 0]), 0, "raw").to_picture()
    columns = (picture[20] == (70, 110, 180)).all(axis=1).nonzero()[0]
    assert (len(columns), columns[0]) == (260, 90)


@pytest.mark.parametrize("pixel_mm", [0.0007, 0.001, 0.0013, 0.004, 0.01, 0.029, 0.0301, 0.0499, 0.05, 0.06, 1.0, 17.0])
def test_a_scale_bar_is_the_longest_round_length_in_a_third_of_the_picture(pixel_mm):
    below = with_scale_bar([View(np.zeros((300, 600), np.uint8), pixel_mm, None, "z")]).pixels[300:]
    ink = (below == INK).all(axis=2)
    bar = max(len(run) for row in ink for run in "".join("#" if dot else " " for dot in row).split())
    exact = {factor * 10.0**power for factor in (1, 2, 5) for power in range(-3, 5)}
    longest = max(length for length in exact if length <= 200 * pixel_mm * 1.000001)
    assert bar == round(longest / pixel_mm)
