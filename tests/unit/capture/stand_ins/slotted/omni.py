"""Images of the stand-in: slots, pixels as an array."""

import json


class Calibration:
    __slots__ = ("intercept", "slope", "unit_type")

    def __init__(self, unit_type, slope, intercept):
        self.unit_type, self.slope, self.intercept = unit_type, slope, intercept

    def calibrated_to_raw(self, x):
        return (x - self.intercept) / self.slope


class Image:
    __slots__ = ("_array", "_document", "metadata_path")

    def __init__(self, metadata_path, metadata):
        self.metadata_path, self._document, self._array = metadata_path, metadata, None

    @property
    def size_3d_tuple(self):
        return tuple(self._document["d"])

    @property
    def default_pixel_calibration_unit_type(self):
        return self._document.get("u")

    @property
    def dtype(self):
        return "uint8" if self._document.get("seg") else "int16"

    @property
    def pixels(self):
        import numpy as np

        path = self.metadata_path.with_suffix(".raw")
        return np.memmap(path, self.dtype, "r+" if path.exists() else "w+", 0, self.size_3d_tuple[::-1])

    @property
    def array(self):
        """Pixels in memory, which save() writes."""
        import numpy as np

        if self._array is None:
            self._array = np.zeros(self.size_3d_tuple[::-1], self.dtype)
        return self._array

    def pixel_calibrations_of_unit_type(self, name):
        return (Calibration(name, *self._document["c"]),) if name == self._document.get("u") else ()

    def derive_segments(self, derived_omni_path, derived_raw_path, override_metadata={}):
        return Image(derived_omni_path, {"d": self._document["d"], "seg": 1, **override_metadata})

    def save(self):
        self.metadata_path.write_text(json.dumps(self._document))
        if self._array is not None:
            self._array.tofile(self.metadata_path.with_suffix(".raw"))
        return self
