"""Outputs of a job as tests look at them: numbers as they are, files at hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.api.facade.omni import Image, open_image
from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource, reference_resource
from xfworker.domain.parameters import file_references
from xfworker.services.comparison.difference import Tolerance
from xfworker.testing.image_comparison import ImageLike, assert_same_image


@define
class Fetch:
    """
    Brings the files of outputs, each once, and those of one job into one folder, since they name each other.

    Attributes:
        folder: Where files go.
        download: Downloads one file.
    """

    folder: Path
    download: Callable[[Resource, Path], object]

    def __call__(self, resource: Resource) -> Path:
        """Give the local path of a file of the store."""
        target = self.folder.joinpath(*resource.segments)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            self.download(resource, target)
        return target


class CompositeOutput(dict[str, Any]):
    """
    A composite output: a dict like any other, whose files can be opened.

    Composites inside it are of this class as well: ``outputs["snapshot"]["bitmap"].path()``.
    """

    def __init__(self, value: Mapping[str, Any], fetch: Fetch) -> None:
        """Wrap a composite parameter."""
        super().__init__({key: _wrapped(item, fetch) for key, item in value.items()})
        self._fetch = fetch

    def path(self) -> Path:
        """
        Give the main file, fetched with all files beside it.

        Raises:
            UsageError: It has no file of its own.
        """
        return self.paths()[0]

    def paths(self) -> list[Path]:
        """Give all its files, the main one first."""
        references = file_references(self)
        if not references:
            raise UsageError(f"this output of type {self.get('type')} has no files: {dict(self)!r:.200}")
        return [self._fetch(reference_resource(reference)) for reference in references]

    def image(self) -> Image:
        """Open the image or the segments; ``image().pixels`` is an array of shape ``(z, y, x)``."""
        return open_image(self.path())

    def bytes(self) -> bytes:
        """Give the content of the main file."""
        return self.path().read_bytes()

    def text(self) -> str:
        """Give the content of the main file as text (UTF-8)."""
        return self.path().read_text("utf-8-sig")

    def json(self) -> Any:
        """Give the content of the main file, which is JSON."""
        return json.loads(self.text())

    def rows(self) -> list[list[str]]:
        """Give the rows of the main file, which is a table with commas, semicolons or tabs between its columns."""
        import csv

        text = self.text()
        head = text.partition("\n")[0]
        delimiter = max(",;\t", key=head.count)
        return [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]

    def assert_same_as(self, expected: ImageLike, *, absolute: float = 0.0, relative: float = 0.0) -> None:
        """
        Fail unless the image is as expected; a picture of the worst slice is left beside it.

        Args:
            expected: An array ``(z, y, x)``, an image of the ``omni`` module, or the path of an image file.
            absolute: By how much voxels may differ, in raw values.
            relative: By how much more, as a part of the expected value.

        Raises:
            AssertionError: It is not; the message says where and how much, and names the picture.
        """
        tolerance = Tolerance(absolute=absolute, relative=relative)
        assert_same_image(self.path(), expected, tolerance=tolerance, pictures=self._fetch.folder)


def wrap_outputs(outputs: Mapping[str, Any], fetch: Fetch) -> dict[str, Any]:
    """Give a job's outputs with every composite as a :class:`CompositeOutput`."""
    return {key: _wrapped(value, fetch) for key, value in outputs.items()}


def _wrapped(value: Any, fetch: Fetch) -> Any:
    if isinstance(value, Mapping):
        return CompositeOutput(value, fetch)
    if isinstance(value, list):
        return [_wrapped(item, fetch) for item in value]
    return value
