import gc

import pytest

from xfworker.adapters.http.download import Download
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.files import parse_resource


@pytest.mark.parametrize("size", [0, 3, 256 << 10])
def test_a_small_download_arrives_and_leaves_nothing_to_the_collector(token, tmp_path, size):
    resource, content = parse_resource(f"userdata/small-{size}"), bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "source").write_bytes(content)
    store = HttpFileStore()
    store.upload(token, tmp_path / "source", resource)
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):  # the second uses the memory of the first
            store.download(token, resource, tmp_path / "copy")
        left = [found for found in gc.get_objects() if isinstance(found, Download)]
    finally:
        gc.enable()
    assert (tmp_path / "copy").read_bytes() == content
    assert not left
    store.close()
