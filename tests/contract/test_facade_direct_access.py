"""The facade over a file store on a disk that scripts reach as well: files are used in place."""

import stat
from pathlib import Path

import numpy as np
import pytest

import xfworkerutil
from tests.contract.suites.facade_files import FacadeFilesContract
from tests.contract.suites.facade_project import ScriptProject, memory_place
from tests.symbolic_links import needs_symbolic_links
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.api.facade import omni
from xfworker.domain.errors import FileNotInStore, UsageError
from xfworker.testing.contracts.sns_server import isq_file


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def script_project(tmp_path, store):
    return ScriptProject.make(
        memory_place(FolderFileStore(store, direct_access_root=str(store), direct_writes=True)), tmp_path
    )


class TestDirectAccessFacadeFiles(FacadeFilesContract):
    def test_an_input_file_is_brought_complete(self, script_project, source, worker, store):
        script_project.put(f"job_result/{source.serial}/a.bin", b"abc")
        path = worker.download_input_file(self.reference(source, "a.bin"))
        assert path.is_relative_to(store)
        assert path.read_bytes() == b"abc"
        copy = worker.download_input_file(self.reference(source, "a.bin"), copy_even_on_direct_access=True)
        assert worker.working_dir.is_under(copy)

    def test_an_input_of_unknown_type_brings_all_its_files(self, script_project, source, worker, store):
        for name in ("main", "b"):
            script_project.put(f"job_result/{source.serial}/{name}", name.encode())
        parameter = self.reference(source, "main", "NeverSeen", filenames=["b"])
        (found,) = worker.download_additional_input_files(parameter)
        assert found.is_relative_to(store)
        assert found.read_bytes() == b"b"

    def test_output_paths_lie_in_the_store_and_are_only_registered(self, script_project, worker, store):
        path = worker.create_output_path(Path("scan.AIM"), "_mid.png")
        assert path.is_relative_to(store)
        path.write_bytes(b"png")
        worker.upload_output_file(path)
        assert script_project.content(f"job_result/{worker.job['serial']}/{path.name}") == b"png"

    def test_an_image_in_the_store_is_opened_in_place(self, script_project, worker, store):
        parameter = worker.upload_omni_output(self.make_image(worker))
        image = worker.get_omni_image(parameter)
        assert image.metadata_path.is_relative_to(store)
        assert image.pixels.sum() == sum(range(24))

    @needs_symbolic_links
    def test_pixels_in_another_folder_of_the_store_are_linked_not_copied(self, script_project, worker, store):
        again, image = self.opened_again(script_project, worker)
        (pixels,) = again.pixels_paths()
        assert stat.S_ISLNK(pixels.lstat().st_mode)
        assert np.array_equal(again.pixels, omni.open_image(image.metadata_path).pixels)

    @pytest.mark.parametrize("how", ["refused", "made and not followed"])
    def test_where_no_link_can_be_made_they_are_copied(self, script_project, worker, store, monkeypatch, how):
        def symlink_to(link, target):
            if how == "refused":
                raise OSError("A required privilege is not held by the client")

        monkeypatch.setattr(Path, "symlink_to", symlink_to)
        again, image = self.opened_again(script_project, worker)
        assert not any(path.is_symlink() for path in again.pixels_paths())
        assert np.array_equal(again.pixels, omni.open_image(image.metadata_path).pixels)

    def test_pixels_that_a_parameter_forgot_are_used_in_place_as_well(self, script_project, worker, store):
        parameter = worker.upload_omni_output(self.make_image(worker))
        image = worker.get_omni_image({key: value for key, value in parameter.items() if key != "filenames"})
        assert image.pixels_paths()[0].is_relative_to(store)

    def test_an_image_in_the_store_without_its_pixels_names_what_is_missing(self, script_project, worker, store):
        parameter = worker.upload_omni_output(self.make_image(worker))
        (pixels,) = worker.get_omni_image(parameter).pixels_paths()
        pixels.unlink()
        before = store_content(store)
        with pytest.raises(FileNotInStore, match=r"scan\.omni names scan\.raw, which the file store does not have"):
            worker.get_omni_image({key: value for key, value in parameter.items() if key != "filenames"})
        assert store_content(store) == before

    def opened_again(self, script_project, worker):
        first = worker.upload_omni_output(self.make_image(worker))
        other = script_project.worker()
        image = self.make_image(other)
        references = [self.reference(script_project.job(worker.job["serial"]), name) for name in first["filenames"]]
        for reference in references:
            reference.pop("type")
        parameter = other.upload_omni_output_only_metadata(image, references)
        return script_project.worker().get_omni_image(parameter), image

    def test_ipl_gets_an_aim_of_an_omni_image(self, script_project, worker, store):
        parameter = worker.upload_omni_output(self.make_image(worker))
        path = worker.get_ipl_image_path(parameter)
        assert worker.working_dir.is_under(path)
        assert path.suffix == ".AIM"


def store_content(store):
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def edit_metadata(image):
    image.metadata["note"] = "edited by a script"


def edit_pixels(image):
    image.pixels = np.zeros_like(np.asarray(image.pixels))


def edit_both(image):
    edit_metadata(image)
    image.pixels = np.zeros(image.info.shape, np.float32)


class TestImagesInTheStore:
    """An input that is opened where it lies is never changed, whatever the script does with it."""

    @pytest.fixture
    def image_parameter(self, script_project):
        worker = script_project.worker()
        return worker.upload_omni_output(FacadeFilesContract().make_image(worker))

    @pytest.mark.parametrize("edit", [edit_metadata, edit_pixels, edit_both])
    def test_saving_an_input_image_leaves_the_store_alone(self, script_project, store, image_parameter, edit, capfd):
        before = store_content(store)
        worker = script_project.worker()
        image = worker.get_omni_image(image_parameter)
        stored = image.metadata_path
        edit(image)
        image.save()
        assert store_content(store) == before
        assert worker.working_dir.is_under(image.metadata_path)
        (told,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("xfworker: ")]
        assert f"{stored} is an input" in told
        assert str(image.metadata_path) in told
        again = omni.open_image(image.metadata_path)
        assert again.metadata == image.metadata
        assert np.array_equal(again.pixels, image.pixels)
        del again  # Windows replaces no file that is mapped
        image.metadata["more"] = 1
        image.pixels = np.ones(image.info.shape, np.uint8)
        image.save()
        assert store_content(store) == before
        assert script_project.content(f"job_result/{image_parameter['job_serial']}/scan.omni") == before[stored]

    def test_a_changed_input_is_uploaded_as_the_jobs_own(self, script_project, store, image_parameter):
        worker = script_project.worker()
        image = worker.get_omni_image(image_parameter)
        image.metadata["note"] = "mine"
        image.save()
        own = script_project.worker().get_omni_image(worker.upload_omni_output(image))
        assert (own.metadata["note"], own.pixels.sum()) == ("mine", sum(range(24)))

    def test_an_input_that_is_linked_together_is_not_changed_either(self, script_project, store, image_parameter):
        other = script_project.worker()
        image = FacadeFilesContract().make_image(other)
        references = [{**image_parameter, "filename": name} for name in image_parameter["filenames"]]
        for reference in references:
            for key in ("type", "size", "filenames"):
                reference.pop(key)
        parameter = other.upload_omni_output_only_metadata(image, references)
        before = store_content(store)
        worker = script_project.worker()
        linked = worker.get_omni_image(parameter)
        linked.pixels = np.zeros(linked.info.shape, np.int16)
        linked.save()
        assert store_content(store) == before

    def test_a_scan_in_the_store_gets_no_document_there(self, script_project, store, source_isq):
        before = store_content(store)
        worker = script_project.worker()
        image = worker.get_omni_image(source_isq)
        image.metadata["note"] = "mine"
        image.save()
        assert store_content(store) == before
        assert worker.working_dir.is_under(image.metadata_path)
        assert np.array_equal(omni.open_image(image.metadata_path).pixels, image.pixels)

    @pytest.fixture
    def source_isq(self, script_project):
        job = script_project.new_job()
        script_project.put(f"job_result/{job.serial}/a.isq", isq_file())
        return {"type": "Image", "source": "job_result", "job_serial": job.serial, "filename": "a.isq"}

    def test_pixels_assigned_to_a_scan_in_the_store_are_refused_and_it_stays_readable(
        self, script_project, store, source_isq
    ):
        before = store_content(store)
        image = script_project.worker().get_omni_image(source_isq)
        pixels = np.asarray(image.pixels)
        image.pixels = pixels * 0
        with pytest.raises(UsageError, match="derive an image"):
            image.save()
        assert store_content(store) == before
        assert np.array_equal(omni.open_image(image.pixels_paths()[0]).pixels, pixels)

    def test_an_input_that_was_opened_by_its_path_is_not_changed_either(self, script_project, store, image_parameter):
        before = store_content(store)
        image = omni.open_image(script_project.worker().download_input_file(image_parameter))
        image.metadata["note"] = "mine"
        with pytest.raises(UsageError, match="lies in the file store"):
            image.save()
        assert store_content(store) == before

    def test_an_output_is_made_in_the_store(self, script_project, store, image_parameter):
        worker = script_project.worker()
        path = worker.create_output_path(Path("seg.omni"), "_2.omni")
        assert path.is_relative_to(store)
        image = worker.get_omni_image(image_parameter).derive_segments(path, path.with_suffix(".raw"))
        image.pixels[:] = 1
        image.save()
        image.metadata["note"] = "again"
        image.save()
        assert script_project.worker().get_omni_image(worker.upload_omni_output(image)).pixels.sum() == 24

    def test_an_image_is_not_derived_over_the_input_itself(self, script_project, store, image_parameter):
        image = script_project.worker().get_omni_image(image_parameter)
        with pytest.raises(UsageError, match="would destroy"):
            image.derive_image(image.metadata_path, image.metadata_path.with_name("new.raw"))

    @pytest.mark.parametrize("copy", [True, False])
    def test_metadata_alone_are_changed_and_stored_without_the_pixels(
        self, script_project, store, image_parameter, copy
    ):
        before = store_content(store)
        worker = script_project.worker()
        image = worker.get_omni_image(image_parameter, download_only_metadata=True, copy_even_on_direct_access=copy)
        image.metadata["pixel_calibrations"] = []
        image.save()
        references = xfworkerutil.get_parameter_file_references(image_parameter, only_additional=True)
        parameter = worker.upload_omni_output_only_metadata(image, references)
        assert {path: content for path, content in store_content(store).items() if path in before} == before
        again = script_project.worker().get_omni_image(parameter)
        assert (again.pixel_calibrations, again.pixels.sum()) == ([], sum(range(24)))
