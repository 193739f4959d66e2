"""Images that are read and written by methods, in slabs."""

import json


class Calibration:
    def __init__(self, slope, intercept):
        self._slope, self._intercept = slope, intercept

    def raw_to_calibrated(self, x):
        return self._slope * x + self._intercept

    def calibrated_to_raw(self, x):
        return (x - self._intercept) / self._slope


class Image:
    def __init__(self, metadata_path, metadata):
        self.metadata_path, self._metadata = metadata_path, metadata

    size_3d_tuple = property(lambda self: tuple(self._metadata["d"]))
    axes = property(lambda self: "XYZ")
    default_pixel_calibration_unit_type = property(lambda self: self._metadata.get("u"))

    def pixel_calibrations_of_unit_type(self, name):
        return [Calibration(*self._metadata["c"])] if name == self._metadata.get("u") else []

    def derive_segments(self, derived_omni_path, derived_raw_path, override_metadata={}):
        return Image(derived_omni_path, {"d": self._metadata["d"]})

    def load(self):
        import numpy as np

        raw = np.fromfile(self.metadata_path.with_suffix(".raw"), np.int16)
        return raw.reshape(self.size_3d_tuple[::-1]), "int16"

    def slabs(self):
        pixels, _ = self.load()
        for index, slab in enumerate(pixels):
            yield index, slab

    def store(self, array):
        array.tofile(self.metadata_path.with_suffix(".raw"))
        self.metadata_path.write_text(json.dumps(self._metadata))

    def save(self):
        self.metadata_path.write_text(json.dumps(self._metadata))
