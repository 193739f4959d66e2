"""The image formats: those of this package, and before them those of the codecs that the settings name."""

from typing import TYPE_CHECKING

from xfworker.api.composition.deferred import Deferred
from xfworker.api.composition.provided_session import current_session
from xfworker.api.settings.file import load_settings
from xfworker.api.settings.model import Settings

if TYPE_CHECKING:
    from xfworker.domain.image.description import ImageInfo
    from xfworker.ports.image_codec import ImageFormats, PixelReader


def image_formats() -> "ImageFormats":
    """
    Give the formats of the provided session, or outside of one those that the settings in force name.

    Raises:
        ConfigurationError: A setting is malformed, or a codec is not installed or cannot be made.
    """
    provided = current_session()
    return configured_formats(load_settings().settings) if provided is None else provided.images


def pixels_reader(info: "ImageInfo") -> "PixelReader":
    """Open the pixels of an OMNI description, in whichever process this is. Raises as ``ImageFormats.reader_of``."""
    return image_formats().reader_of(info)


def configured_formats(settings: Settings) -> "ImageFormats":
    """
    Make the formats that these settings name.

    Raises:
        ConfigurationError: A codec is not installed, or cannot be made.
    """
    from xfworker.adapters.images.registry import image_formats as all_formats
    from xfworker.api.composition.adapter_registry import make_adapter

    return all_formats(
        [make_adapter("images", name, {}, own=(), setting="images.codecs") for name in settings.images.codecs]
    )


def session_formats(settings: Settings) -> "ImageFormats":
    """
    Give the formats of a session: they load numpy, so they are made when the first image is opened.

    Codecs that the settings name are made at once, so that a session does not begin with a setting that is wrong.

    Raises:
        ConfigurationError: A codec is not installed, or cannot be made.
    """
    if settings.images.codecs:
        return configured_formats(settings)
    formats: ImageFormats = Deferred(lambda: configured_formats(settings))
    return formats
