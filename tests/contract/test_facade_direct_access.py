"""The facade over a file store on a disk that scripts reach as well: files are used in place."""

import stat
from pathlib import Path

import numpy as np
import pytest

from tests.contract.suites.facade_files import FacadeFilesContract
from tests.contract.suites.facade_lab import Lab, memory_place
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.api.facade import omni


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def lab(tmp_path, store):
    return Lab.make(memory_place(FolderFileStore(store, direct_access_root=str(store), direct_writes=True)), tmp_path)


class TestDirectAccessFacadeFiles(FacadeFilesContract):
    def test_an_input_file_is_brought_complete(self, lab, source, worker, store):
        lab.put(f"job_result/{source.serial}/a.bin", b"abc")
        path = worker.download_input_file(self.reference(source, "a.bin"))
        assert path.is_relative_to(store)
        assert path.read_bytes() == b"abc"
        copy = worker.download_input_file(self.reference(source, "a.bin"), copy_even_on_direct_access=True)
        assert worker.working_dir.is_under(copy)

    def test_an_input_of_unknown_type_brings_all_its_files(self, lab, source, worker, store):
        for name in ("main", "b"):
            lab.put(f"job_result/{source.serial}/{name}", name.encode())
        parameter = self.reference(source, "main", "NeverSeen", filenames=["b"])
        (found,) = worker.download_additional_input_files(parameter)
        assert found.is_relative_to(store)
        assert found.read_bytes() == b"b"

    def test_output_paths_lie_in_the_store_and_are_only_registered(self, lab, worker, store):
        path = worker.create_output_path(Path("scan.AIM"), "_mid.png")
        assert path.is_relative_to(store)
        path.write_bytes(b"png")
        worker.upload_output_file(path)
        assert lab.content(f"job_result/{worker.job['serial']}/{path.name}") == b"png"

    def test_an_image_in_the_store_is_opened_in_place(self, lab, worker, store):
        parameter = worker.upload_omni_output(self.make_image(worker))
        image = worker.get_omni_image(parameter)
        assert image.metadata_path.is_relative_to(store)
        assert image.pixels.sum() == sum(range(24))

    def test_pixels_in_another_folder_of_the_store_are_linked_not_copied(self, lab, worker, store):
        first = worker.upload_omni_output(self.make_image(worker))
        other = lab.worker()
        image = self.make_image(other)
        references = [self.reference(lab.job(worker.job["serial"]), name) for name in first["filenames"]]
        for reference in references:
            reference.pop("type")
        parameter = other.upload_omni_output_only_metadata(image, references)
        again = lab.worker().get_omni_image(parameter)
        (pixels,) = again.pixels_paths()
        assert stat.S_ISLNK(pixels.lstat().st_mode)
        assert np.array_equal(again.pixels, omni.open_image(image.metadata_path).pixels)

    def test_ipl_gets_an_aim_of_an_omni_image(self, lab, worker, store):
        parameter = worker.upload_omni_output(self.make_image(worker))
        path = worker.get_ipl_image_path(parameter)
        assert worker.working_dir.is_under(path)
        assert path.suffix == ".AIM"
