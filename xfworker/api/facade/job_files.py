"""The methods of a job that bring files in and out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from xfworker.api.facade.functions.record_access import checked_serial
from xfworker.api.facade.job_context import JobContext, log_line
from xfworker.domain.errors import UsageError
from xfworker.domain.filenames import check_filename

if TYPE_CHECKING:
    # A script that opens no image does not wait for what that needs, nor one without files for what those need.
    from xfworker.api.facade.omni import Image
    from xfworker.domain.files import Resource


class _NamesImage(dict[str, Any]):
    """Annotations of a method that bring the class ``Image`` into this module when somebody asks for them."""

    def keys(self) -> Any:
        from xfworker.api.facade.omni import Image

        globals()["Image"] = Image
        return super().keys()

    def __iter__(self) -> Iterator[str]:
        # With an iterator of its own a dict is copied by its keys, as typing.get_type_hints does.
        return iter(self.keys())


class JobFiles(JobContext):
    """Downloads and uploads of a job."""

    def create_related_path(self, path: Path, postfix: str) -> Path:
        """
        Give a unique path in the working directory, named like ``path`` with its suffix replaced by ``postfix``.

        ``create_related_path(Path("scan.AIM"), "_SEG.AIM")`` is ``.../scan_SEG.AIM``, or ``.../scan_SEG_2.AIM``
        where that is taken. No file is made.

        Raises:
            InvalidFilename: The result is not one safe file name.
        """
        return self.working_dir.create_related_path(path, postfix)

    def create_temp_path(self, filename: str) -> Path:
        """
        Give a unique path in the working directory, named ``filename``. No file is made.

        Raises:
            InvalidFilename: It is not one safe file name.
        """
        return self.working_dir.create_temp_path(filename)

    def create_output_path(self, path: Path, postfix: str) -> Path:
        """
        Give the path at which to write an output file named like ``path`` with its suffix replaced by ``postfix``.

        Where the file store lies on a shared disk that may be written to from here, it is a path inside the store, and
        :meth:`upload_output_file` only registers the file. Otherwise it is a unique path in the working directory.

        Raises:
            InvalidFilename: The result is not one safe file name.
            PermissionDenied: The job may not write results.
        """
        from xfworker.services.script.outputs import output_path

        return output_path(self._session, self.working_dir, path, postfix)

    def download_input_file(self, input_parameter: Dict[str, Any], *, copy_even_on_direct_access: bool = False) -> Path:
        """
        Give a local path to the main file of an input parameter.

        Where the file can be opened on a shared disk, that is its path: read it, do not write to it. Otherwise it is
        downloaded to the working directory, where it appears when it is complete and verified.

        Args:
            input_parameter: A composite parameter, or a file reference such as
                ``{"type": "ForeignFile", "source": "userdata", "virtualpath": ..., "filename": ...}``.
            copy_even_on_direct_access: Give a copy in the working directory in any case.

        Raises:
            FileNotInStore: There is no such file.
            PermissionDenied: The job may not read it.
            FileError: The parameter names no file, or the transfer failed.
        """
        from xfworker.domain.files import reference_resource

        resource = reference_resource(_parameter(input_parameter, "download_input_file"))
        return self._fetch(resource, copy=copy_even_on_direct_access)

    def download_additional_input_files(
        self, input_parameter: Dict[str, Any], *, copy_even_on_direct_access: bool = False
    ) -> List[Path]:
        """
        Give local paths to the files of an input parameter beside its main one, in the parameter's order.

        Args:
            input_parameter: A composite parameter of any type, known or not.
            copy_even_on_direct_access: Give copies in the working directory in any case.

        Raises:
            FileError: One of them failed; the message names it, and those that were finished stay.
        """
        from xfworker.services.script.inputs import fetch_additional

        parameter = _parameter(input_parameter, "download_additional_input_files")
        return fetch_additional(self._session, self.working_dir, parameter, copy=copy_even_on_direct_access)

    def download_related_file(
        self, input_parameter: Dict[str, Any], filename: str, *, copy_even_on_direct_access: bool = False
    ) -> Path:
        """
        Give a local path to another file that lies beside the main file of an input parameter.

        Args:
            input_parameter: The parameter whose source is looked in.
            filename: The other file's name.
            copy_even_on_direct_access: Give a copy in the working directory in any case.

        Raises:
            FileNotInStore: There is no such file.
            InvalidFilename: The name is not one safe file name.
        """
        from xfworker.services.script.inputs import related_resource

        resource = related_resource(_parameter(input_parameter, "download_related_file"), filename)
        return self._fetch(resource, copy=copy_even_on_direct_access)

    def download_xf_dependency_package_config_file(
        self, dependency_package_serial: int, filename: str, *, copy_even_on_direct_access: bool = False
    ) -> Path:
        """
        Give a local path to a configuration file of a dependency package.

        Raises:
            FileNotInStore: There is no such file.
        """
        resource = _config("dependency_package", dependency_package_serial, filename)
        return self._fetch(resource, copy=copy_even_on_direct_access)

    def download_xf_task_type_config_file(
        self, task_type_serial: int, filename: str, *, copy_even_on_direct_access: bool = False
    ) -> Path:
        """
        Give a local path to a configuration file of a task type.

        Raises:
            FileNotInStore: There is no such file.
        """
        resource = _config("task_type", task_type_serial, filename)
        return self._fetch(resource, copy=copy_even_on_direct_access)

    def download_xf_workflow_config_file(
        self, workflow_serial: int, filename: str, *, copy_even_on_direct_access: bool = False
    ) -> Path:
        """
        Give a local path to a configuration file of a workflow.

        Raises:
            FileNotInStore: There is no such file.
        """
        resource = _config("workflow", workflow_serial, filename)
        return self._fetch(resource, copy=copy_even_on_direct_access)

    def download_xf_userdata_file(self, virtualpath: str, *, copy_even_on_direct_access: bool = False) -> Path:
        """
        Give a local path to a file of user data.

        Args:
            virtualpath: The file's path, ``scans/2024/a.isq``, with or without ``@xfuserdata/`` before it.
            copy_even_on_direct_access: Give a copy in the working directory in any case.

        Raises:
            FileNotInStore: There is no such file.
            InvalidParameter: The path names no file.
        """
        from xfworker.services.script.inputs import userdata_file_resource

        resource = userdata_file_resource(virtualpath)
        return self._fetch(resource, copy=copy_even_on_direct_access)

    def upload_output_file(self, local_path: Path) -> None:
        """
        Store a local file as an output file of the job, under its own name.

        Readers see the whole file or none. A file that was written to the path from :meth:`create_output_path` inside
        the store is compared and registered, not sent.

        Raises:
            FileError: The file is not there, changed while it was sent, or the transfer failed.
        """
        self._store([local_path])

    def upload_xf_userdata_file(self, local_path: Path, virtualpath: str) -> None:
        """
        Store a local file in user data.

        Args:
            local_path: The complete file.
            virtualpath: Its path there; one that ends with a slash is a folder, in which the file keeps its name.

        Raises:
            FileError: The file is not there, or the transfer failed.
            PermissionDenied: The job may not write there.
        """
        from xfworker.services.script.outputs import upload_userdata

        upload_userdata(self._session, self.working_dir, local_path, virtualpath)

    def get_omni_image(
        self,
        input_parameter: Dict[str, Any],
        *,
        copy_even_on_direct_access: bool = False,
        download_only_metadata: bool = False,
    ) -> "Image":
        """
        Open the image of an input parameter, downloading its files where that is needed.

        An image that is opened where it lies in the file store is not changed there: ``save`` writes a document in the
        working directory that points at its pixels, and says so in the log.

        Args:
            input_parameter: An ``Image`` parameter: an OMNI image, or a format that can be opened as one.
            copy_even_on_direct_access: Give copies in the working directory in any case.
            download_only_metadata: Leave the pixels where they are; the image has its size and calibrations only. It
                can be changed, saved, and uploaded with :meth:`upload_omni_output_only_metadata`.

        Raises:
            ImageError: It is not an image that can be opened as OMNI.
            FileError: A transfer failed.
        """
        from xfworker.api.facade.input_image import InputImage
        from xfworker.api.facade.omni import open_input
        from xfworker.services.script.inputs import fetch_image

        path = fetch_image(
            self._session,
            self.working_dir,
            _parameter(input_parameter, "get_omni_image"),
            copy=copy_even_on_direct_access,
            only_metadata=download_only_metadata,
        )
        return open_input(
            InputImage(
                path=path,
                is_in_place=not self.working_dir.is_under(path),
                is_only_metadata=download_only_metadata,
                new_folder=self._private_folder,
            )
        )

    def get_ipl_image_path(
        self,
        input_parameter: Dict[str, Any],
        *,
        auto_convert_from_omni: bool = True,
        allow_calibration_loss: bool = False,
    ) -> Path:
        """
        Give a local path to an image that SCANCO's IPL can read, downloading its files where that is needed.

        The path is never a network share's: such a file is copied to the working directory. Of an OMNI image whose
        pixels are in a file that IPL reads (AIM, ISQ), that file is given.

        Args:
            input_parameter: An ``Image`` parameter.
            auto_convert_from_omni: Write other OMNI images as AIM into the working directory.
            allow_calibration_loss: Write an AIM although its formulas cannot state one of the image's calibrations,
                such as HU that are not -1000 at raw 0. This parameter is an addition of xfworker.

        Raises:
            ImageError: It is not an image, or one that IPL cannot read and AIM cannot hold.
            FileError: A transfer failed.
        """
        from xfworker.services.script.inputs import OMNI_SUFFIX, fetch_image
        from xfworker.services.script.ipl_image import IplImages

        parameter = _parameter(input_parameter, "get_ipl_image_path")
        path = fetch_image(self._session, self.working_dir, parameter, copy=False)
        if self._session.filesystem.is_network_path(path):
            path = fetch_image(self._session, self.working_dir, parameter, copy=True)
        images = IplImages(self._session.images)
        readable = images.readable_file(path)
        if readable is not None:
            return readable
        if not auto_convert_from_omni or path.suffix.lower() != OMNI_SUFFIX:
            raise images.not_readable(path)
        return images.convert(
            path,
            lambda: self.working_dir.create_related_path(path, ".AIM"),
            allow_calibration_loss=allow_calibration_loss,
        )

    def upload_omni_output(self, image: "Image") -> Dict[str, Any]:
        """
        Store an image of the working directory as output files of the job: its metadata file and its pixels.

        Both must be saved before.

        Returns:
            An ``Image`` parameter.

        Raises:
            FileError: A file is not there, or the transfer failed.
        """
        from xfworker.services.script.outputs import output_parameter

        path, pixels = _image_files(image, "upload_omni_output")
        self._store([*pixels, path])
        return output_parameter(
            self._session,
            "Image",
            path.name,
            size=list(image.size_3d_tuple),
            filenames=[file.name for file in pixels] or None,
        )

    def upload_omni_output_only_metadata(
        self, image: "Image", additional_files: List[Dict[str, Any]]
    ) -> Dict[str, Any]:
        """
        Store the metadata file of an image as an output file of the job; its pixels lie in files stored elsewhere.

        Args:
            image: The image, saved before.
            additional_files: References to the files that hold the pixels, such as those of an input image
                (:func:`xfworkerutil.get_parameter_file_references`).

        Returns:
            An ``Image`` parameter that refers to ``additional_files``.

        Raises:
            InvalidParameter: ``additional_files`` are not file references.
            FileError: The file is not there, or the transfer failed.
        """
        from xfworker.services.script.outputs import output_parameter

        path, _ = _image_files(image, "upload_omni_output_only_metadata")
        parameter = output_parameter(
            self._session, "Image", path.name, size=list(image.size_3d_tuple), additional_files=additional_files
        )
        self._store([path])
        return parameter

    for _method in (get_omni_image, upload_omni_output, upload_omni_output_only_metadata):
        _method.__annotations__ = _NamesImage(_method.__annotations__)

    def _private_folder(self, document: Path, pixels: Sequence[Path]) -> Path:
        from xfworker.services.script.inputs import linked

        folder, _ = linked(self._session, self.working_dir, document.stem, pixels)
        log_line(
            f"{document} is an input that was opened where it is stored, so it stays as it is; the changed image is"
            f" saved as {folder / document.name}"
        )
        return folder

    def _fetch(self, resource: "Resource", *, copy: bool) -> Path:
        from xfworker.services.script.inputs import fetch_file

        return fetch_file(self._session, self.working_dir, resource, copy=copy)

    def _store(self, paths: List[Path]) -> None:
        from xfworker.services.script.outputs import upload_outputs

        upload_outputs(self._session, self.working_dir, paths)


def _config(owner: str, serial: Any, filename: Any) -> "Resource":
    from xfworker.domain.files import record_resource

    checked = checked_serial(serial, f"download_xf_{owner}_config_file: {owner}_serial")
    return record_resource(f"{owner}_config", checked, check_filename(filename))


def _parameter(value: Any, what: str) -> Dict[str, Any]:
    if value is None:
        raise UsageError(f"{what}: the input is not set (None); test for that before its file is asked for")
    if not isinstance(value, dict):
        raise UsageError(f"{what} takes a composite parameter (a dict with 'source' and 'filename'), not {value!r:.80}")
    return value


def _image_files(image: Any, what: str) -> tuple[Path, list[Path]]:
    from xfworker.api.facade.omni import Image

    if not isinstance(image, Image):
        raise UsageError(f"{what} takes an omni.Image, not {type(image).__name__}")
    return image.metadata_path, list(dict.fromkeys(image.pixels_paths()))
