"""The suite for stores that a server offers: a folder, and a bucket of SeaweedFS."""

import pytest

from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.testing.contracts.served_files import ServedFilesContract, ServedStore


class TestServedFolder(ServedFilesContract):
    @pytest.fixture
    def opening(self, tmp_path):
        def opened():
            files = FolderFileStore(tmp_path / "files")
            return ServedStore(files, PartialUploads(files))

        return opened


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    pytest.importorskip("obstore")
    with object_server(tmp_path_factory.mktemp("weed")) as url:
        make_bucket(url)
        yield url


class TestServedBucket(ServedFilesContract):
    @pytest.fixture
    def opening(self, endpoint, request):
        from xfworker.adapters.s3.location import BucketLocation
        from xfworker.adapters.s3.partial_uploads import S3PartialUploads
        from xfworker.adapters.s3.served_bucket import open_served_bucket

        name = str(request.node.name)
        location = BucketLocation(
            url=f"s3://test/{name}", endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY
        )

        def opened():
            files = open_served_bucket(location)
            return ServedStore(files, S3PartialUploads(files))

        return opened
