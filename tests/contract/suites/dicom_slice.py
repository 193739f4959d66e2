"""One slice of a DICOM series, as a scanner writes it."""

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def dicom_slice(path, pixels, z, series):
    """Write one slice of a series: 0.1 x 0.2 mm, at height z (mm)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.Modality = series, "CT"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 1, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelSpacing, data.ImagePositionPatient = [0.2, 0.1], [5.0, 6.0, z]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.RescaleSlope, data.RescaleIntercept = 2, -1024
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
