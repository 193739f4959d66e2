"""What a script does with images every day, block after block: the same words as ``xfworker image``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from xfworker.domain.errors import ImageError, UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.services.event_log import EventLog

if TYPE_CHECKING:
    from xfworker.ports.image_codec import ImageFormats, PixelReader
    from xfworker.services.images.derivation import Derived
    from xfworker.services.images.histograms import Histogram
    from xfworker.services.images.masking import Mask
    from xfworker.services.images.statistics import Statistics

_log = EventLog("xfworker.images")

Progress = Callable[[int, int], None]
"""Called with the slices that are done and all there are."""

_PREVIEW_SIDE = 512
_MOST_DECODED_BYTES = 1 << 31
"""Encoded pixels beyond this size are not decoded for a preview."""


class ImageTools:
    """
    Operations on the pixels of an image; none of them loads a volume as a whole.

    Those that write take the path of the file to be; its suffix says the format (``.omni``, ``.AIM``, ...), and it
    appears when it is complete. They return the new image; what its format cannot hold (a calibration, a place between
    voxels) is named in the log. All raise :class:`~xfworker.domain.errors.ImageError` where
    an image lacks what is asked for (a calibration, axes), :class:`~xfworker.domain.errors.UsageError` for arguments
    that make no sense, and :class:`~xfworker.domain.errors.NotEnoughSpace` on a full disk.
    """

    @property
    def info(self) -> ImageInfo:
        """The metadata, checked."""
        raise NotImplementedError

    def reader(self) -> "PixelReader":
        """Open the pixels for reading in slabs."""
        raise NotImplementedError

    def _image_at(self, path: Path) -> Self:
        """Open an image that was written."""
        raise NotImplementedError

    def threshold(
        self,
        path: Path,
        *,
        lower: float | None = None,
        upper: float | None = None,
        unit: str | None = None,
        to: Literal["segments", "mask"] = "segments",
        label: str = "object",
        progress: Progress | None = None,
    ) -> Self:
        """
        Write segments of what lies between two values, both included.

        Args:
            path: The file to write.
            lower: The smallest value that belongs, or None.
            upper: The largest value that belongs, or None.
            unit: What the limits are stated in, such as ``Density`` or ``HU``; None for raw values.
            to: ``segments`` have 1 in objects; a ``mask`` has 127, as IPL has it. An AIM is always a mask.
            label: What the objects are called.
            progress: Called with the slices that are done and all there are.
        """
        from xfworker.services.images.thresholding import threshold

        with self._with_formats() as (formats, reader):
            made = threshold(
                formats, reader, Path(path), lower=lower, upper=upper, unit_type=unit, to=to, label=label,
                progress=progress,
            )  # fmt: skip
        return self._made(made)

    def crop(
        self,
        path: Path,
        *,
        pos: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        pos_mm: Sequence[float] | None = None,
        size_mm: Sequence[float] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """
        Write a box of the volume (a VOI) that stays at its place in mm.

        Args:
            path: The file to write.
            pos: The box's first voxel (x, y, z), counted from the image's first one, as of an ``ImageVOI``.
            size: Voxels along (x, y, z); up to the image's end where nothing is stated.
            pos_mm: Position (x, y, z) of the first voxel in mm, as of ``origin_mm``; the nearest voxel is taken.
            size_mm: Edges along (x, y, z) in mm.
            progress: Called with the slices that are done and all there are.
        """
        from xfworker.services.images.cropping import crop, voi_of

        with self._with_formats() as (formats, reader):
            box = voi_of(reader.info, pos=pos, size=size, pos_mm=pos_mm, size_mm=size_mm)
            made = crop(formats, reader, Path(path), box, progress=progress)
        return self._made(made)

    def mask(
        self,
        path: Path,
        mask: "ImageTools",
        *,
        label: int | None = None,
        outside: float = 0.0,
        unit: str | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """
        Write the image with one value outside a mask; inside, nothing changes.

        Args:
            path: The file to write.
            mask: What is not 0 in it is inside. It is placed by its origin, and may cover a part of the image.
            label: Only this label of the mask is inside; None for all.
            outside: The value of everything else.
            unit: What ``outside`` is stated in; None for a raw value.
            progress: Called with the slices that are done and all there are.
        """
        from xfworker.services.images.masking import apply_mask

        with self._with_formats() as (formats, reader), mask.reader() as inside:
            made = apply_mask(
                formats, reader, inside, Path(path), label=label, outside=outside, unit_type=unit, progress=progress
            )
        return self._made(made)

    def downsample(self, path: Path, factors: int | Sequence[int], *, progress: Progress | None = None) -> Self:
        """
        Write a smaller copy for looking at: blocks of voxels become their mean, of labels the commonest one.

        Voxels that do not fill a block at the far end of an axis are left out; spacing and origin follow.

        Args:
            path: The file to write.
            factors: Voxels that become one: one integer for all axes, or three for (x, y, z).
            progress: Called with the slices that are done and all there are.
        """
        from xfworker.services.images.downsampling import downsample

        with self._with_formats() as (formats, reader):
            made = downsample(formats, reader, Path(path), factors, progress=progress)
        return self._made(made)

    def statistics(
        self,
        *,
        mask: "ImageTools | None" = None,
        label: int | None = None,
        unit: str | None = None,
        progress: Progress | None = None,
    ) -> "Statistics":
        """
        Take the statistics of all pixels, or of those inside a mask.

        Args:
            mask: What is not 0 in it counts. It is placed by its origin, and may cover a part of the image.
            label: Only this label of the mask counts; None for all.
            unit: The unit to state values in, such as ``Density``; None for raw values.
            progress: Called with the slices that are done and all there are.

        Returns:
            ``count``, ``minimum``, ``maximum``, ``mean``, ``standard_deviation``, ``nonzero``, ``percentile(50)``.
        """
        from xfworker.services.images.statistics import statistics

        line = None if unit is None else self.info.calibration(unit)
        with self._measured(mask, label) as (reader, inside):
            result = statistics(reader, progress, mask=inside)
        return result if line is None else result.calibrated(line)

    def histogram(
        self,
        *,
        bins: int = 256,
        lower: float | None = None,
        upper: float | None = None,
        unit: str | None = None,
        mask: "ImageTools | None" = None,
        label: int | None = None,
        progress: Progress | None = None,
    ) -> "Histogram":
        """
        Count how often values occur.

        Args:
            bins: How many bins of equal width.
            lower: Where the first bin begins; None for the smallest value.
            upper: Where the last bin ends; None for the largest value.
            unit: What values are stated in, such as ``Density``; None for raw values.
            mask: What is not 0 in it counts; None for all pixels.
            label: Only this label of the mask counts; None for all.
            progress: Called with the slices that are done and all there are.

        Returns:
            ``edges`` and ``counts``, as of ``numpy.histogram``; ``to_csv()`` and ``to_picture()`` show them.
        """
        from xfworker.services.images.histograms import histogram

        with self._measured(mask, label) as (reader, inside):
            return histogram(
                reader, bins=bins, lower=lower, upper=upper, unit_type=unit, mask=inside, progress=progress
            )

    def slice(
        self,
        path: Path,
        *,
        axis: Literal["x", "y", "z", "all"] = "z",
        index: int | None = None,
        window: tuple[float, float] | None = None,
        unit: str | None = None,
        overlay: "ImageTools | None" = None,
        annotate: bool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Write an orthogonal slice, or a montage of three, as a PNG in true proportions.

        Args:
            path: The ``.png`` to write.
            axis: The axis that the slice is orthogonal to; ``all`` for the three middle slices side by side.
            index: Where on that axis, from the end when negative; None for the middle.
            window: The values that become black and white; None for the percentiles 0.5 and 99.5 of what is shown.
            unit: What the window is stated in; None for raw values.
            overlay: Segments to lay over the slice in the colours of their labels, placed by their origin.
            annotate: Whether to name the sides and to add a scale bar in mm; None for only where ``axis`` is ``all``.
            progress: Called with the slices that are read and all there are.
        """
        from xfworker.adapters.images.png import write_png
        from xfworker.services.images.annotations import annotated
        from xfworker.services.images.conversion import check_apart
        from xfworker.services.images.pictures import (
            ChooseWindow,
            Window,
            montage_views,
            side_by_side,
            slice_view,
            window_of,
        )
        from xfworker.services.images.units import to_raw

        path = Path(path)
        if path.suffix.lower() != ".png":
            raise UsageError(f"{path}: slices are written as PNG; call it .png.")
        if axis not in ("x", "y", "z", "all") or (axis == "all" and index is not None):
            raise UsageError(f"A slice is along x, y or z, or all three without an index; got {axis!r}, {index!r}.")
        info = self.info
        check_apart(info, [path])
        choose: ChooseWindow = window_of
        if window is not None:
            low, high = window
            if not low < high:
                raise UsageError(f"A window rises from black to white; got {window!r}.")
            fixed = Window(to_raw(info, low, unit), to_raw(info, high, unit))

            def choose(_values: Any) -> Window:
                return fixed

        with ExitStack() as stack:
            reader = stack.enter_context(self.reader())
            above = None if overlay is None else stack.enter_context(overlay.reader())
            if axis == "all":
                views = montage_views(reader, choose=choose, overlay=above, progress=progress)
            else:
                views = [slice_view(reader, axis, index, choose=choose, overlay=above, progress=progress)]
        if annotate or (annotate is None and axis == "all"):
            view = annotated(views, info)
        else:
            view = views[0] if len(views) == 1 else side_by_side(views)
        write_png(path, view.pixels, pixel_mm=view.pixel_mm)

    # --- notebooks -----------------------------------------------------------------------------------------------

    def _repr_png_(self) -> bytes | None:
        """Give three planes for a notebook, or None where they cannot be shown: a cell never fails for its picture."""
        try:
            return self._preview()
        except (ImageError, UsageError):
            return None

    def _repr_html_(self) -> str:
        """Give three planes and the facts for a notebook."""
        import base64

        info = self.info
        facts = [
            ("", str(info.path)),
            (info.kind, f"{' x '.join(map(str, info.size))} {info.pixel_type.value} ({info.axes})"),
            ("spacing", f"{', '.join(f'{step:.6g}' for step in info.spacing_mm)} mm"),
            ("origin", f"{', '.join(f'{at:.6g}' for at in info.origin_mm)} mm"),
            *((line.unit_type, line.unit_name or "") for line in info.calibrations),
            *((f"label {label.get('value')}", str(label.get("name", ""))) for label in info.labels),
        ]
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>" for name, fact in facts)
        picture = self._repr_png_()
        picture_tag = (
            "" if picture is None else f'<img src="data:image/png;base64,{base64.b64encode(picture).decode()}"/>'
        )
        return f"<div>{picture_tag}<table>{rows}</table></div>"

    def _preview(self) -> bytes | None:
        from xfworker.adapters.images.png import png_bytes
        from xfworker.ports.image_codec import PlaneReader
        from xfworker.services.images.annotations import annotated
        from xfworker.services.images.pictures import montage_views

        info = self.info
        step = max(1, -(-max(info.size_3d) // _PREVIEW_SIDE))
        with self.reader() as reader:
            if not isinstance(reader, PlaneReader) and info.byte_count > _MOST_DECODED_BYTES:
                return None
            view = annotated(montage_views(reader, step=step), info)
        return png_bytes(view.pixels, pixel_mm=view.pixel_mm)

    def _made(self, made: "Derived") -> Self:
        for loss in made.losses:
            _log.warning("xfworker.image_loss", file=str(made.info.path), loss=loss)
        return self._image_at(made.info.path)

    @contextmanager
    def _with_formats(self) -> "Iterator[tuple[ImageFormats, PixelReader]]":
        from xfworker.api.composition.image_formats import image_formats

        with self.reader() as reader:
            yield image_formats(), reader

    @contextmanager
    def _measured(self, mask: "ImageTools | None", label: int | None) -> "Iterator[tuple[PixelReader, Mask | None]]":
        from xfworker.services.images.masking import Mask

        if label is not None and mask is None:
            raise UsageError("A label is one of the mask; give the mask too.")
        with ExitStack() as stack:
            reader = stack.enter_context(self.reader())
            inside = None if mask is None else Mask(stack.enter_context(mask.reader()), reader.info, label)
            yield reader, inside
