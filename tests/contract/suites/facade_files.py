"""The job's files: inputs, outputs, configuration, user data, images, and the module ``network``."""

from pathlib import Path

import numpy as np
import pytest

import xfworkerutil
from xfworker.api.facade import network, omni
from xfworker.domain.errors import (
    FileError,
    FileNotInStore,
    ImageError,
    InvalidFilename,
    InvalidParameter,
    PermissionDenied,
    UnsupportedImage,
    UsageError,
)
from xfworker.domain.records import DependencyPackage, TaskType
from xfworker.testing.contracts.sns_server import isq_file


class FacadeFilesContract:
    @pytest.fixture
    def source(self, script_project):
        """A job whose results are inputs."""
        return script_project.new_job()

    @pytest.fixture
    def worker(self, script_project):
        return script_project.worker()

    def reference(self, job, name, type_name="ForeignFile", **more):
        return {"type": type_name, "source": "job_result", "job_serial": job.serial, "filename": name, **more}

    # --- inputs ---

    def test_an_input_file_is_brought_complete(self, script_project, source, worker):
        script_project.put(f"job_result/{source.serial}/a.bin", b"abc" * 1000)
        path = worker.download_input_file(self.reference(source, "a.bin"))
        assert path.read_bytes() == b"abc" * 1000
        assert path.name == "a.bin"
        assert worker.working_dir.is_under(path)

    def test_a_copy_is_ones_own_to_change(self, script_project, source, worker):
        script_project.put(f"job_result/{source.serial}/a.bin", b"abc")
        path = worker.download_input_file(self.reference(source, "a.bin"), copy_even_on_direct_access=True)
        path.write_bytes(b"changed")
        assert script_project.content(f"job_result/{source.serial}/a.bin") == b"abc"
        assert worker.download_input_file(self.reference(source, "a.bin")).read_bytes() == b"abc"

    def test_an_input_that_is_not_there_or_not_set_is_told(self, source, worker):
        with pytest.raises(FileNotInStore, match="missing"):
            worker.download_input_file(self.reference(source, "missing"))
        with pytest.raises(UsageError, match="not set"):
            worker.download_input_file(None)
        with pytest.raises(FileError):
            worker.download_input_file({"type": "Entity", "uuid": "u", "name": "n"})
        with pytest.raises(UsageError):
            worker.download_input_file("a.bin")
        assert [*worker.working_dir.path.iterdir()] == []

    @pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a\\b", "..", "NUL"])
    def test_a_name_that_would_leave_the_directory_is_refused(self, source, worker, name):
        with pytest.raises(InvalidFilename):
            worker.download_input_file(self.reference(source, name))
        with pytest.raises(InvalidFilename):
            worker.download_related_file(self.reference(source, "a"), name)

    def test_an_input_of_unknown_type_brings_all_its_files(self, script_project, source, worker):
        for name in ("main", "b", "c", "d"):
            script_project.put(f"job_result/{source.serial}/{name}", name.encode())
        parameter = self.reference(
            source,
            "main",
            "NeverSeen",
            filenames=["b"],
            additional_files=[self.reference(source, "c")],
            deep={"list": [self.reference(source, "d", "Deeper")]},
        )
        assert worker.download_input_file(parameter).read_bytes() == b"main"
        found = worker.download_additional_input_files(parameter)
        assert [path.read_bytes() for path in found] == [b"b", b"c", b"d"]
        again = worker.download_additional_input_files(parameter, copy_even_on_direct_access=True)
        assert len({*found, *again}) == 6
        assert worker.download_additional_input_files(self.reference(source, "main")) == []

    def test_an_additional_file_that_is_missing_is_named(self, script_project, source, worker):
        script_project.put(f"job_result/{source.serial}/main", b"")
        with pytest.raises(FileError, match="nowhere"):
            worker.download_additional_input_files(self.reference(source, "main", filenames=["nowhere"]))

    def test_a_related_file_comes_from_the_same_place(self, script_project, source, worker):
        script_project.put(f"job_result/{source.serial}/main", b"1")
        script_project.put(f"job_result/{source.serial}/other", b"2")
        assert worker.download_related_file(self.reference(source, "main"), "other").read_bytes() == b"2"

    def test_configuration_files(self, script_project, worker):
        package = script_project.admin.create(DependencyPackage(name="Core.Type.Base", version="1.0.0.0"))
        # Files of a version that jobs ran with stay as they are, so they are those of another one.
        task_type = script_project.admin.create(TaskType(name="Lab.Model", version="1.0.0.0"))
        script_project.put(f"task_type_config/{task_type.serial}/a.json", b"{}")
        script_project.put(f"workflow_config/{script_project.workflow.serial}/b.json", b"[]")
        script_project.put(f"dependency_package_config/{package.serial}/c.json", b"1")
        assert worker.download_xf_task_type_config_file(task_type.serial, "a.json").read_bytes() == b"{}"
        assert worker.download_xf_workflow_config_file(script_project.workflow.serial, "b.json").read_bytes() == b"[]"
        found = worker.download_xf_dependency_package_config_file(package.serial, "c.json")
        assert found.read_bytes() == b"1"
        for method in (
            worker.download_xf_task_type_config_file,
            worker.download_xf_workflow_config_file,
            worker.download_xf_dependency_package_config_file,
        ):
            with pytest.raises(InvalidFilename):
                method(1, "../secret")
            with pytest.raises(UsageError, match="serial"):
                method("x", "a.json")

    # --- user data ---

    def test_user_data_go_up_and_down(self, script_project, worker):
        folder = f"lab{script_project.project.serial}"
        path = worker.create_temp_path("report.csv")
        path.write_bytes(b"a;b")
        worker.upload_xf_userdata_file(path, f"@xfuserdata/{folder}/2024/")
        worker.upload_xf_userdata_file(path, f"{folder}/other.csv")
        assert worker.download_xf_userdata_file(f"{folder}/2024/report.csv").read_bytes() == b"a;b"
        assert worker.download_xf_userdata_file(f"@xfuserdata/{folder}/other.csv").read_bytes() == b"a;b"
        named = {
            "type": "ForeignFile",
            "source": "userdata",
            "virtualpath": f"{folder}/2024/report.csv",
            "filename": "report.csv",
        }
        assert worker.download_input_file(named).read_bytes() == b"a;b"

    @pytest.mark.parametrize("path", ["", "a/", "a\\", "../a", "a/../b", None, "@xfuserdata/"])
    def test_a_path_that_names_no_file_of_user_data_is_refused(self, worker, path):
        with pytest.raises((InvalidParameter, InvalidFilename)):
            worker.download_xf_userdata_file(path)

    def test_network_lists_files_and_folders(self, script_project, worker):
        folder = f"lab{script_project.project.serial}"
        for name in ("a.isq", "b.isq", "sub/c.isq"):
            script_project.put(f"userdata/{folder}/{name}", b"1234")
        with worker.server_connection() as connection:
            token = xfworkerutil.get_xf_userdata_token(connection, [("list", f"{folder}/")])
        files, folders = network.list_files_and_folders_on_filestorage(token)
        assert [(item["name"], item["size"]) for item in files] == [("a.isq", 4), ("b.isq", 4)]
        assert folders == [{"virtual_name": "sub"}]
        inner = network.virtualpath_join_folder(f"{folder}/", folders[0]["virtual_name"])
        assert inner == f"{folder}/sub/"
        assert network.virtualpath_join_file(inner, "c.isq") == f"{folder}/sub/c.isq"
        files, folders = network.list_files_and_folders_on_filestorage(token, inner)
        assert ([item["name"] for item in files], folders) == (["c.isq"], [])
        with pytest.raises(PermissionDenied):
            network.list_files_and_folders_on_filestorage(token, "elsewhere/")
        with worker.server_connection() as connection:
            empty = xfworkerutil.get_xf_userdata_token(connection, [("list", "no-such-folder")])
        assert network.list_files_and_folders_on_filestorage(empty) == ([], [])

    def test_network_fetches_and_stores_under_a_token(self, script_project, worker):
        place = f"lab{script_project.project.serial}/x.bin"
        with worker.server_connection() as connection:
            token = xfworkerutil.get_xf_userdata_token(connection, [("write", place), ("read", place)])
        source = worker.create_temp_path("x.bin")
        source.write_bytes(b"hello")
        network.upload_file_to_filestorage(token, source)
        assert network.download_file_from_filestorage(token, worker.create_temp_path("y")).read_bytes() == b"hello"
        with pytest.raises(FileError, match="save the file before it is uploaded"):
            network.upload_file_to_filestorage(token, Path("nowhere"))
        with pytest.raises(UsageError, match="file token"):
            network.list_files_and_folders_on_filestorage("token")

    # --- outputs ---

    def test_an_output_file_is_stored_under_its_name(self, script_project, worker):
        path = worker.create_output_path(Path("scan.AIM"), "_mid.png")
        path.write_bytes(b"png")
        worker.upload_output_file(path)
        assert script_project.content(f"job_result/{worker.job['serial']}/{path.name}") == b"png"
        parameter = worker.create_output_bitmap(path.name)
        assert worker.download_input_file(parameter).read_bytes() == b"png"

    def test_two_output_paths_of_one_name_are_two(self, worker):
        first = worker.create_output_path(Path("scan.AIM"), "_mid.png")
        assert worker.create_output_path(Path("scan.AIM"), "_mid.png") != first

    @pytest.mark.parametrize("wrong", ["nowhere.png", None, 3, "."])
    def test_what_is_no_file_is_not_uploaded(self, worker, wrong):
        with pytest.raises((FileError, UsageError)):
            worker.upload_output_file(wrong)

    # --- images ---

    def make_image(self, worker, name="scan"):
        image = omni.create_image(
            worker.create_temp_path(f"{name}.omni"),
            size=(4, 3, 2),
            pixel_type="int16",
            spacing_mm=(0.1, 0.1, 0.2),
            calibrations=[omni.Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=2.0, intercept=-10.0)],
        )
        image.pixels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
        image.save()
        return image

    def test_an_image_goes_out_and_comes_in_again(self, script_project, worker):
        parameter = worker.upload_omni_output(self.make_image(worker))
        assert (parameter["type"], parameter["filename"], parameter["size"]) == ("Image", "scan.omni", [4, 3, 2])
        assert parameter["filenames"] == ["scan.raw"]
        image = worker.get_omni_image(parameter)
        assert np.array_equal(image.pixels, np.arange(24, dtype=np.int16).reshape(2, 3, 4))
        assert image.metadata_path.name == "scan.omni"
        assert image.pixel_calibrations_of_unit_type("Density")[0].slope == 2.0
        copy = worker.get_omni_image(parameter, copy_even_on_direct_access=True)
        assert worker.working_dir.is_under(copy.metadata_path)
        assert copy.metadata_path.parent != worker.working_dir.path

    def test_only_the_metadata_of_an_image_can_be_fetched(self, script_project, worker):
        parameter = worker.upload_omni_output(self.make_image(worker))
        image = worker.get_omni_image(parameter, copy_even_on_direct_access=True, download_only_metadata=True)
        assert image.size_3d_tuple == (4, 3, 2)
        assert not image.metadata_path.with_name("scan.raw").exists()

    def test_metadata_alone_are_edited_saved_and_uploaded(self, script_project, worker):
        first = worker.upload_omni_output(self.make_image(worker))
        other = script_project.worker()
        image = other.get_omni_image(first, download_only_metadata=True, copy_even_on_direct_access=True)
        with pytest.raises(ImageError, match="not downloaded"):
            _ = image.pixels
        image.metadata["pixel_calibrations"] = []
        image.save()
        references = xfworkerutil.get_parameter_file_references(first, only_additional=True)
        parameter = other.upload_omni_output_only_metadata(image, references)
        again = script_project.worker().get_omni_image(parameter)
        assert (again.pixel_calibrations, again.pixels.sum()) == ([], sum(range(24)))

    def test_pixels_that_a_parameter_forgot_are_found(self, script_project, worker):
        parameter = worker.upload_omni_output(self.make_image(worker))
        image = worker.get_omni_image(
            {key: value for key, value in parameter.items() if key != "filenames"}, copy_even_on_direct_access=True
        )
        assert image.pixels.sum() == sum(range(24))

    def test_an_image_in_a_parameter_is_not_brought_with_it(self, script_project, source, worker):
        parameter = worker.upload_omni_output(self.make_image(worker))
        image = worker.get_omni_image({**parameter, "image": self.reference(source, "gone.omni", "Image")})
        assert image.pixels.sum() == sum(range(24))

    def test_what_belongs_to_an_image_lies_beside_it_under_its_own_name(self, script_project, worker):
        for note in (b"first", b"second"):
            job = script_project.new_job()
            for name, content in (("a.isq", isq_file()), ("a.txt", note)):
                script_project.put(f"job_result/{job.serial}/{name}", content)
            parameter = self.reference(job, "a.isq", "Image", filenames=["a.txt"])
            for copy in (True, False):
                (pixels,) = worker.get_omni_image(parameter, copy_even_on_direct_access=copy).pixels_paths()
                assert pixels.with_name("a.txt").read_bytes() == note

    def test_metadata_alone_can_refer_to_pixels_stored_elsewhere(self, script_project, worker):
        first = worker.upload_omni_output(self.make_image(worker))
        other = script_project.worker()
        image = self.make_image(other)
        image.pixels_paths()[0].unlink()
        references = xfworkerutil.get_parameter_file_references(first, only_additional=True)
        parameter = other.upload_omni_output_only_metadata(image, references)
        assert parameter["additional_files"] == references
        again = script_project.worker().get_omni_image(parameter)
        assert again.pixels.sum() == sum(range(24))
        with pytest.raises(InvalidParameter, match="additional_files"):
            other.upload_omni_output_only_metadata(image, [{"filename": "x"}])

    def test_an_image_that_is_not_saved_or_none_is_not_uploaded(self, worker):
        unsaved = omni.create_image(worker.create_temp_path("new.omni"), size=(1, 1, 1), pixel_type="uint8")
        with pytest.raises(FileError, match="save the file before it is uploaded"):
            worker.upload_omni_output(unsaved)
        with pytest.raises(UsageError, match=r"omni\.Image"):
            worker.upload_omni_output({"type": "Image"})

    def test_what_is_no_image_is_told(self, script_project, source, worker):
        script_project.put(f"job_result/{source.serial}/a.txt", b"hello")
        with pytest.raises(ImageError):
            worker.get_omni_image(self.reference(source, "a.txt", "Image"))
        with pytest.raises(ImageError):
            worker.get_ipl_image_path(self.reference(source, "a.txt", "Image"))

    def test_ipl_reads_an_isq_as_it_is(self, script_project, source, worker):
        script_project.put(f"job_result/{source.serial}/a.isq", isq_file())
        path = worker.get_ipl_image_path(self.reference(source, "a.isq", "Image"))
        assert path.read_bytes() == isq_file()
        assert worker.get_omni_image(self.reference(source, "a.isq", "Image")).size_3d_tuple == (4, 3, 2)

    def test_ipl_gets_an_aim_of_an_omni_image(self, script_project, worker):
        parameter = worker.upload_omni_output(self.make_image(worker))
        path = worker.get_ipl_image_path(parameter)
        assert path.suffix == ".AIM"
        assert worker.working_dir.is_under(path)
        assert np.array_equal(omni.open_image(path).pixels, np.arange(24, dtype=np.int16).reshape(2, 3, 4))
        with pytest.raises(UnsupportedImage, match="auto_convert_from_omni"):
            worker.get_ipl_image_path(parameter, auto_convert_from_omni=False)

    def test_ipl_gets_no_image_whose_values_an_aim_cannot_state(self, script_project, worker):
        line = omni.Calibration(unit_type="HU", slope=1, intercept=0)
        path = worker.create_temp_path("hu.omni")
        image = omni.create_image(path, size=(4, 3, 2), pixel_type="int16", calibrations=[line])
        image.pixels[:] = 300
        image.save()
        parameter = worker.upload_omni_output(image)
        with pytest.raises(UnsupportedImage, match="allow_calibration_loss"):
            worker.get_ipl_image_path(parameter)
        assert worker.get_ipl_image_path(parameter, allow_calibration_loss=True).suffix == ".AIM"

    def test_ipl_gets_the_file_that_an_omni_document_points_to(self, script_project, worker):
        source = worker.create_temp_path("scan.ISQ")
        source.write_bytes(isq_file())
        image = omni.open_image(source)
        image.save()
        parameter = worker.upload_omni_output(image)
        assert parameter["filenames"] == ["scan.ISQ"]
        path = worker.get_ipl_image_path(parameter, auto_convert_from_omni=False)
        assert path.name == "scan.ISQ"
        assert path.read_bytes() == isq_file()
