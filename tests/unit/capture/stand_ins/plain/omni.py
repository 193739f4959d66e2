"""Images of the stand-in: the document has keys of its own."""

import json
from pathlib import Path


class Calibration:
    def __init__(self, metadata=None, *, type, unit_type, unit_name, slope, intercept, indirect_base_unit_type=None):
        self._line = (type, unit_type, unit_name, slope, intercept, indirect_base_unit_type)

    type = property(lambda self: self._line[0])
    unit_type = property(lambda self: self._line[1])
    unit_name = property(lambda self: self._line[2])
    slope = property(lambda self: self._line[3])
    intercept = property(lambda self: self._line[4])
    indirect_base_unit_type = property(lambda self: self._line[5])

    def raw_to_calibrated(self, x):
        return x * self.slope + self.intercept

    def calibrated_to_raw(self, x):
        return (x - self.intercept) / self.slope

    def raw_stddev_to_calibrated_stddev(self, s):
        return s * abs(self.slope)

    def raw_variance_to_calibrated_variance(self, v):
        return v * self.slope**2


class Image:
    def __init__(self, metadata_path, metadata):
        self.metadata_path, self.metadata = Path(metadata_path), metadata

    @property
    def axes(self):
        return "XYZ"

    @property
    def size_3d_tuple(self):
        return tuple(self.metadata["d"])

    @property
    def pixels_count(self):
        x, y, z = self.metadata["d"]
        return x * y * z

    @property
    def additional_pixels_filenames(self):
        return []

    @property
    def default_pixel_calibration_unit_type(self):
        return self.metadata.get("u")

    def pixel_calibrations_of_unit_type(self, name):
        if name != self.metadata.get("u"):
            return []
        slope, intercept = self.metadata["c"]
        return [
            Calibration(type="slope_intercept", unit_type=name, unit_name="mg HA/ccm", slope=slope, intercept=intercept)
        ]

    def derive_image(self, derived_omni_path, derived_raw_path, override_metadata={}):
        return Image(derived_omni_path, {**self.metadata, **override_metadata})

    def derive_segments(self, derived_omni_path, derived_raw_path, override_metadata={}):
        return Image(derived_omni_path, {"d": self.metadata["d"], "seg": True})

    def save(self):
        self.metadata_path.write_text(json.dumps(self.metadata))
