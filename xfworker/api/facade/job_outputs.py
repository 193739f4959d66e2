"""The methods of a job that make output parameters."""

from typing import Any, Dict, List

from xfworker.api.facade.job_context import JobContext, log_line


class JobOutputs(JobContext):
    """
    Composite output parameters.

    A ``filename`` is the name of an output file of this job, as it was or will be uploaded. Every method raises
    :class:`~xfworker.domain.errors.InvalidParameter` with the path to each wrong value.
    """

    def create_output_bitmap(self, filename: str) -> Dict[str, Any]:
        """Make a ``Bitmap``: a picture in a file such as PNG."""
        return self._file_output("Bitmap", filename)

    def create_output_contours(self, filename: str, image: Dict[str, Any]) -> Dict[str, Any]:
        """Make ``Contours``: outlines in a file, drawn on ``image`` (an ``Image`` parameter)."""
        return self._file_output("Contours", filename, image=image)

    def create_output_csv(self, filename: str) -> Dict[str, Any]:
        """Make a ``CSV``: a table in a file."""
        return self._file_output("CSV", filename)

    def create_output_entity(self, uuid: str, name: str) -> Dict[str, Any]:
        """Make an ``Entity``: a physical sample, animal or person."""
        return _value_output("Entity", uuid=uuid, name=name)

    def create_output_foreign_file(self, filename: str) -> Dict[str, Any]:
        """Make a ``ForeignFile``: a file of a kind that the platform does not look into."""
        return self._file_output("ForeignFile", filename)

    def create_output_gi_result(self, snapshot: Dict[str, Any], gi_image: Dict[str, Any]) -> Dict[str, Any]:
        """Make a ``GIResult`` of a ``Snapshot`` parameter and an ``Image`` parameter."""
        return _value_output("GIResult", snapshot=snapshot, gi_image=gi_image)

    def create_output_html_document(self, filename: str) -> Dict[str, Any]:
        """Make an ``HTMLDocument``: a page in a file."""
        return self._file_output("HTMLDocument", filename)

    def create_output_image(
        self,
        filename: str,
        size: List[int],
        filenames: List[str] | None = None,
        additional_files: List[Dict[str, Any]] | None = None,
    ) -> Dict[str, Any]:
        """
        Make an ``Image``.

        Args:
            filename: The main file, such as ``seg.omni``.
            size: Pixels along every axis, x first (2 to 7 integers above 0).
            filenames: Further output files of this job that belong to the image, such as ``["seg.raw"]``.
            additional_files: References to files that belong to it and lie elsewhere.
        """
        return self._file_output(
            "Image",
            filename,
            size=size,
            filenames=filenames,
            additional_files=additional_files,
        )

    def create_output_image_pair_list(self, pairs: List[List[Dict[str, Any]]]) -> Dict[str, Any]:
        """Make an ``ImagePairList`` of pairs ``[image, image]`` of ``Image`` parameters."""
        return _value_output("ImagePairList", pairs=pairs)

    def create_output_image_voi(
        self, pos: List[int], size: List[int], image: Dict[str, Any], name: str = None, category: str = None
    ) -> Dict[str, Any]:
        """
        Make an ``ImageVOI``: an upright box in an image.

        Args:
            pos: First voxel (x, y, z).
            size: Voxels along (x, y, z), each above 0.
            image: The ``Image`` parameter.
            name: What people call it.
            category: What kind of volume it is.
        """
        return _value_output("ImageVOI", pos=pos, size=size, image=image, name=name, category=category)

    def create_output_mesh(
        self,
        filename: str,
        filenames: List[str] | None = None,
        additional_files: List[Dict[str, Any]] | None = None,
    ) -> Dict[str, Any]:
        """
        Make a ``Mesh``.

        Args:
            filename: The main file.
            filenames: Further output files of this job that belong to the mesh.
            additional_files: References to files that belong to it and lie elsewhere.
        """
        return self._file_output("Mesh", filename, filenames=filenames, additional_files=additional_files)

    def create_output_registration_result(
        self,
        transform: List[float],
        *,
        image1: Dict[str, Any] | None = None,
        image2: Dict[str, Any] | None = None,
        mesh1: Dict[str, Any] | None = None,
        mesh2: Dict[str, Any] | None = None,
    ) -> Dict[str, Any]:
        """
        Make a ``RegistrationResult``.

        Args:
            transform: A 4 x 4 matrix of finite numbers: 16 row by row, nested rows, or an array. Of 12 numbers or 3
                rows the last row is added (0 0 0 1), and the log says so.
            image1: The ``Image`` that stands still.
            image2: The ``Image`` that is moved.
            mesh1: The ``Mesh`` that stands still.
            mesh2: The ``Mesh`` that is moved.
        """
        from xfworker.services.script.matrices import full_transform

        numbers, note = full_transform(transform, "create_output_registration_result: transform")
        if note is not None:
            log_line(note)
        return _value_output(
            "RegistrationResult",
            transform=numbers,
            image1=image1,
            image2=image2,
            mesh1=mesh1,
            mesh2=mesh2,
        )

    def create_output_rotated_image_voi(
        self,
        pos_mm: List[float],
        size_mm: List[float],
        size: List[int],
        rotation: List[float],
        image: Dict[str, Any],
        name: str = None,
        category: str = None,
    ) -> Dict[str, Any]:
        """
        Make a ``RotatedImageVOI``: a box in an image that stands at an angle.

        Args:
            pos_mm: Position (x, y, z) in mm.
            size_mm: Edges along its own (x, y, z) in mm, each above 0.
            size: Voxels along its own (x, y, z), each above 0.
            rotation: 3 angles, a quaternion of 4 numbers, or a 3 x 3 matrix as 9 numbers row by row, nested rows or an
                array, as the task types agree on.
            image: The ``Image`` parameter.
            name: What people call it.
            category: What kind of volume it is.
        """
        from xfworker.services.script.matrices import flat_matrix

        return _value_output(
            "RotatedImageVOI",
            pos_mm=pos_mm,
            size_mm=size_mm,
            size=size,
            rotation=flat_matrix(rotation, (3,), 3, "create_output_rotated_image_voi: rotation"),
            image=image,
            name=name,
            category=category,
        )

    def create_output_snapshot(
        self,
        bitmap: Dict[str, Any],
        image: Dict[str, Any] = None,
        image2: Dict[str, Any] = None,
        mesh: Dict[str, Any] = None,
        metadata: Dict[str, Any] = None,
        video: Dict[str, Any] = None,
    ) -> Dict[str, Any]:
        """
        Make a ``Snapshot``: a picture and what it was taken from.

        Args:
            bitmap: The picture, a ``Bitmap`` parameter.
            image: The ``Image`` that it shows.
            image2: The second ``Image`` that it shows.
            mesh: The ``Mesh`` that it shows.
            metadata: A ``SnapshotMetadata`` parameter.
            video: A ``Video`` parameter.
        """
        return _value_output(
            "Snapshot", bitmap=bitmap, image=image, image2=image2, mesh=mesh, metadata=metadata, video=video
        )

    def create_output_snapshot_metadata(self, filename: str) -> Dict[str, Any]:
        """Make ``SnapshotMetadata``: how a snapshot was taken, in a file."""
        return self._file_output("SnapshotMetadata", filename)

    def create_output_spectra(
        self, amplitudes_image: Dict[str, Any], wavelength_image: Dict[str, Any]
    ) -> Dict[str, Any]:
        """Make ``Spectra`` of two ``Image`` parameters: amplitudes, and the wavelength of each."""
        return _value_output("Spectra", amplitudes_image=amplitudes_image, wavelength_image=wavelength_image)

    def create_output_video(self, filename: str, bitmap: Dict[str, Any] = None) -> Dict[str, Any]:
        """Make a ``Video``: a film in a file, with a still picture of it (a ``Bitmap`` parameter)."""
        return self._file_output("Video", filename, bitmap=bitmap)

    def _file_output(self, type: str, filename: str, **members: Any) -> Dict[str, Any]:
        from xfworker.services.script.outputs import output_parameter

        return output_parameter(self._session, type, filename, **members)


def _value_output(type: str, **members: Any) -> Dict[str, Any]:
    from xfworker.services.script.outputs import value_parameter

    return value_parameter(type, **members)
