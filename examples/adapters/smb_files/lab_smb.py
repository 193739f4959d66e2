"""A file store on an SMB share, by fsspec: every file of the store is a plain file of the share."""

import fsspec

from xfworker.adapters.plain.file_store import Found, PlainFileStore


class FsspecFiles(PlainFileStore):
    def __init__(self, fs, root):
        super().__init__()
        self.fs, self.root = fs, root.rstrip("/")

    def look(self, path):
        try:
            return _found(self.fs.info(f"{self.root}/{path}"))
        except FileNotFoundError:
            return None

    def entries(self, path):
        try:
            items = self.fs.ls(f"{self.root}/{path}", detail=True)
        except FileNotFoundError:
            return
        for item in items:
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
        copy.commit()

    def remove(self, path):
        self.fs.rm_file(f"{self.root}/{path}")


def _found(info):
    return Found(info["size"], info.get("mtime"), is_folder=info["type"] == "directory")


def open_smb(host, share, folder="", **login):
    """Called with the table files.options of the settings."""
    return FsspecFiles(fsspec.filesystem("smb", host=host, **login), f"/{share}/{folder}")
