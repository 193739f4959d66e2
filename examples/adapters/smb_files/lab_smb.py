"""A file store on an SMB share, by fsspec: every file of the store is a plain file of the share."""

import time

import fsspec

from xfworker.adapters.plain.file_store import Found, PlainFileStore


class FsspecFiles(PlainFileStore):
    def __init__(self, fs, root):
        super().__init__()
        self.fs, self.root = fs, root.rstrip("/")

    def look(self, path):
        return _found(self.fs.info(f"{self.root}/{path}"))

    def entries(self, path):
        for item in self.fs.ls(f"{self.root}/{path}", detail=True):
            yield item["name"].rstrip("/").rpartition("/")[2], _found(item)

    def read(self, path, offset):
        with self.fs.open(f"{self.root}/{path}", "rb") as file:
            file.seek(offset)
            while block := file.read(1 << 20):
                yield block

    def write(self, path, blocks):
        full = f"{self.root}/{path}"
        self.fs.makedirs(full.rpartition("/")[0], exist_ok=True)
        copy = self.fs.open(full, "wb", autocommit=False)  # nobody sees it before commit()
        try:
            with copy:
                for block in blocks:
                    copy.write(block)
        except BaseException:
            copy.discard()
            raise
        for attempt in range(50):  # SMB replaces no file that somebody is reading at this moment
            try:
                copy.commit()
                break
            except OSError:
                if attempt == 49:
                    raise
                time.sleep(0.1)

    def remove(self, path):
        self.fs.rm_file(f"{self.root}/{path}")


def _found(info):
    return Found(info["size"], info.get("mtime"), is_folder=info["type"] == "directory")


def open_smb(host, share, folder="", **login):
    """Called with the table files.options of the settings."""
    # Without share_access="rwd" a file that one script reads could not be read by another.
    return FsspecFiles(fsspec.filesystem("smb", host=host, share_access="rwd", **login), f"/{share}/{folder}")
