"""
What reads bytes that anybody may have made, each with small inputs to begin from.

A parser takes bytes and returns, whatever they are: what it refuses with one of its documented errors is caught here,
so that any other exception is a finding.
"""

import hashlib
import io
import json
import struct
import tempfile
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from attrs import define

from tests.contract.suites.dicom_slice import dicom_slice
from xfworker.adapters.images.ctdata_header import RAD_TYPE, RSQ_TYPE
from xfworker.adapters.images.registry import image_formats
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.wire.byte_range import answer_range, is_unmodified, parse_content_range
from xfworker.adapters.wire.codec import read, write
from xfworker.adapters.wire.digits import read_digits
from xfworker.adapters.wire.file_headers import stat_from_headers
from xfworker.adapters.wire.files import Listing, Registration
from xfworker.adapters.wire.http_date import read_http_date
from xfworker.adapters.wire.tus import read_metadata, write_metadata
from xfworker.api.settings.parser import parse_settings
from xfworker.domain.change import Change
from xfworker.domain.digest_field import read_digest, require_digest, wants_digest
from xfworker.domain.errors import FileError, ImageError, InvalidRecord, UsageError, XFWorkerError
from xfworker.domain.files import parse_resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Worker, Workflow
from xfworker.services.bundle.manifest import read_manifest as read_bundle_manifest
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.manifest import read_manifest as read_capture_manifest
from xfworker.services.capture.reading import OpenCapture
from xfworker.services.packages.archive import unpack
from xfworker.services.packages.check import check_package
from xfworker.services.platform.platform import Platform

MOST_SLICES = 20
LARGEST_SLAB = 1 << 24
LONGEST_FIELD = 512
RESOURCE = parse_resource("job_result/1/a.bin")


@define(frozen=True)
class Parser:
    """
    One parser.

    Attributes:
        seeds: Inputs that it reads without complaint, or nearly.
        read: Reads bytes.
        largest: Bytes of the longest input that is tried; of a longer one nothing else is to be expected.
    """

    seeds: list
    read: object
    largest: int = 8192


# --- images -------------------------------------------------------------------------------------------------------


def image_files(folder, kinds):
    """Write one small image for each suffix and encoding; gives their contents, and leaves files they name beside."""
    z, y, x = np.ogrid[:3, :6, :7]
    mask = np.where((x - 3) ** 2 + (y - 3) ** 2 + z < 8, 127, 0).astype(np.int8)
    contents = []
    for number, (suffix, encoding, code) in enumerate(kinds):
        path = folder / f"{number}.{suffix}"
        info = ImageInfo(
            path=path, format="-", size=(7, 6, 3), pixel_type=PixelType.of_numpy_code(code), pixels_path=path
        )
        with image_formats().writer(path, info, encoding=encoding) as writer:
            writer.write(mask.astype(code))
        contents.append(path.read_bytes())
        path.unlink()
    return contents


def old_aim(_):
    pixels = bytes(3 * 6 * 7)
    header = struct.pack("<5i", 20, 96, 2, len(pixels), 0)
    header += struct.pack("<17i", 0, 0, 0, 0, 0x00010001, 7, 6, 3, 0, 0, 0, 1, 1, 1, 0, 0, 0)
    return [header + bytes(28) + b"!\0" + pixels]


def projections(folder):
    """Give the small image of an ISQ under the types of the other files of the same scanners, RSQ and RAD."""
    (isq,) = image_files(folder, [("isq", None, "i2")])
    return [isq[:16] + struct.pack("<i", kind) + isq[20:] for kind in (RSQ_TYPE, RAD_TYPE)]


def read_image(target, formats, data):
    target.write_bytes(data)
    with suppress(ImageError):
        read_slices(formats.reader(target))


def read_slices(opened):
    with opened as reader:
        if reader.info.slab_byte_count < LARGEST_SLAB:
            for z in range(min(MOST_SLICES, reader.info.size[-1])):
                reader.read(z, z + 1)


def images(suffix, kinds, *more):
    def make(folder):
        seeds = [*image_files(folder, kinds), *(seed for others in more for seed in others(folder))]
        return Parser(seeds, partial(read_image, folder / f"input.{suffix}", image_formats()))

    return make


def dicom(folder):
    target, formats = folder / "input.dcm", image_formats()
    dicom_slice(target, np.arange(42, dtype=np.int16).reshape(6, 7), 0.5, "1.2.3")

    def one(data):
        read_image(target, formats, data)
        with suppress(ImageError):
            read_slices(formats.series_reader(target))

    return Parser([target.read_bytes()], one)


# --- archives -----------------------------------------------------------------------------------------------------


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


METADATA = {
    "package_format": "XFP-TT1.0", "name": "Lab.Measure", "version": "1.0.0.0", "display_name": "Measure",
    "kind": "Processing", "dependencies": [{"name": "Core", "version": "1.0.0.0"}],
}  # fmt: skip
INTERFACE = {"inputs": [{"key": "n", "name": "N", "type": "Number"}], "outputs": []}


def packages(folder):
    parts = {"metadata.json": METADATA, "interface.json": INTERFACE, "tasks.json": {"tasks": []}}
    texts = {name: json.dumps(value) for name, value in parts.items()}
    as_archive, names = folder / "package.xfp", list(parts)

    def one(data):
        kind, content = data[:1], data[1:]
        with tempfile.TemporaryDirectory(dir=folder) as opened, suppress(XFWorkerError):
            place = Path(opened)
            if kind == b"z":
                as_archive.write_bytes(content)
                unpack(as_archive, place)
            else:
                (place / "main.py").write_bytes(b"")
                for name, text in texts.items():
                    (place / name).write_text(text)
                (place / names[sum(kind) % len(names)]).write_bytes(content)
            check_package(place)

    seeds = [
        b"z" + zipped({**texts, "main.py": ""}),
        *(bytes([n]) + texts[name].encode() for n, name in enumerate(names)),
    ]
    return Parser(seeds, one)


def sealed(folder, opening, manifest, files, reader):
    """Fuzz an archive as it is (``z``), or its manifest alone."""
    path = folder / "sealed.zip"
    document = json.dumps(manifest).encode()

    def one(data):
        kind, content = data[:1], data[1:]
        with suppress(XFWorkerError):
            if kind == b"z":
                path.write_bytes(content)
                opening(path, folder)
            else:
                reader(content, "sealed.zip")

    return Parser([b"z" + zipped(files), b"m" + document], one)


def open_bundle(path, folder):
    with OpenBundle(path) as bundle:
        for file in bundle.manifest.files:
            bundle.extract(file, folder / "extracted")


def open_capture(path, folder):
    with OpenCapture(path) as capture:
        capture.verify()
        capture.log()
        with tempfile.TemporaryDirectory(dir=folder) as opened:
            capture.unpack_package(Path(opened))


EMPTY = hashlib.sha256(b"").hexdigest()


def bundles(folder):
    serial = {"serial": 1}
    manifest = {
        "format": "XFJOB1.0", "created_at": "2026-01-01T00:00:00Z", "project": serial, "run": None, "archive": None,
        "workflow": {**serial, "project_serial": 1}, "task": {**serial, "workflow_serial": 1, "task_type_serial": 1},
        "task_type": {**serial, "name": "T"}, "job": {**serial, "task_serial": 1}, "environment": {},
        "files": [{"resource": "job_result/1/a", "entry": "a", "size": 0, "sha256": EMPTY, "role": "input"}],
        "sequences": [{"task_serial": 1, "key": "k", "values": [{"job_serial": 1, "run_serial": 1, "value": 1.5}]}],
    }  # fmt: skip
    return sealed(folder, open_bundle, manifest, {"bundle.json": json.dumps(manifest), "a": b""}, read_bundle_manifest)


def captures(folder):
    call = b'{"number": 1, "call": "f", "args": {}, "result": null}\n'
    manifest = {
        "format": "XFCAP1.0", "created_at": "2026-01-01T00:00:00Z", "calls": 1, "files": {EMPTY: {"size": 0}},
        "outcome": {"ending": "finished"}, "job_serial": 1, "names": {}, "environment": {},
        "entries": [{"entry": "calls.jsonl", "size": len(call), "sha256": hashlib.sha256(call).hexdigest()}],
    }  # fmt: skip
    files = {"capture.json": json.dumps(manifest), "calls.jsonl": call}
    parser = sealed(folder, open_capture, manifest, files, read_capture_manifest)

    def one(data):
        if data[:1] != b"c":
            parser.read(data)
            return
        # As OpenCapture.calls reads each line.
        with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            RecordedCall.from_json(json.loads(data[1:]))

    return Parser([*parser.seeds, b"c" + call], one)


# --- settings, tokens, header fields, messages ----------------------------------------------------------------------

TOML = b"""[server]
url = "https://lab.example"
[http]
attempts = 3
read_seconds = 1.5
[[files.archives]]
kind = "folder"
folder = 'C:\\data'
[logging]
level = "INFO"
"""


def settings(folder):
    path = folder / "xfworker.toml"

    def one(data):
        kind, content = data[:1], data[1:]
        with suppress(XFWorkerError):
            if kind == b"v":
                name, _, value = content.decode("utf-8", "replace").partition("=")
                parse_settings(None, {f"XFWORKER_{name}": value})
            else:
                path.write_bytes(content)
                parse_settings(path, {})

    variables = [b"vHTTP_ATTEMPTS=3", b"vSERVER_URL=http://[::1]:80", b'vFILES_ARCHIVES=[{"kind": "folder"}]']
    return Parser([b"t" + TOML, *variables], one)


def tokens(_):
    clock = ManualClock()
    signer = JwtTokenSigner(b"s" * 32, clock)
    platform = Platform(MemoryRecordStore(), clock, signer)
    claims = [
        {"kind": "admin", "sub": "admin"},
        {"kind": "job", "sub": "1", "job": 1, "attempt": 1, "exp": 2**31},
        {"kind": "user", "sub": "1", "token": 1, "scopes": [["read", "job_result/1"]]},
    ]

    def one(data):
        kind, content = data[:1], data[1:]
        with suppress(XFWorkerError):
            if kind == b"c":
                try:
                    claimed = json.loads(content)
                    text = signer.sign(claimed)
                except (ValueError, TypeError, RecursionError):
                    return  # the server signs none of these
            else:
                text = content.decode("utf-8", "surrogateescape")
            platform.authenticate(text)

    signed = [b"t" + signer.sign(claim).encode() for claim in claims]
    return Parser([*signed, *(b"c" + json.dumps(claim).encode() for claim in claims)], one)


def ranges(_):
    def one(data):
        text = data.decode("latin-1")
        fields = dict(zip(("range", "if-range", "if-none-match"), text.split("\n"), strict=False))
        size = len(data) * 7
        answer = answer_range(fields, size=size, etag='"e"', modified_at=ManualClock().now())
        assert 0 <= answer.start <= answer.end <= size
        is_unmodified(fields.get("if-none-match"), '"e"')
        stated = parse_content_range(text)
        assert stated is None or all(number >= 0 for number in stated)
        read_digits(text)
        read_http_date(text)

    dates = [b"Mon, 01 Jan 2024 12:00:00 GMT", b'bytes=0-1\nMon, 01 Jan 2024 12:00:00 +0100\nW/"e", *']
    return Parser([b"bytes=0-9", b"bytes=-5", b"bytes 0-9/10", b'bytes=3-\n"e"', *dates], one, LONGEST_FIELD)


def file_fields(_):
    names = ("etag", "repr-digest", "xf-quick-digest", "last-modified", "xf-direct-access-path", "xf-sample-digest")

    def one(data):
        text = data.decode("latin-1")
        stat_from_headers(RESOURCE, dict(zip(names, text.split("\n"), strict=False)), 7)
        with suppress(UsageError):
            require_digest(text)
        read_digest(text)
        wants_digest(text)

    digest = b"sha-256=:" + b"A" * 43 + b"=:"
    examples = [b'"e"\n' + digest + b"\nxxh3-128=:AAAAAAAAAAAAAAAAAAAAAA==:\n", digest, b"sha-256=3, a=1"]
    return Parser(examples, one, LONGEST_FIELD)


def tus(_):
    def one(data):
        with suppress(UsageError):
            metadata = read_metadata(data.decode("latin-1"))
            for value in metadata.values():
                with suppress(FileError):
                    assert parse_resource(value).segments
            if all(key and not set(key) & set(" ,") for key in metadata):
                assert read_metadata(write_metadata(metadata)) == metadata

    examples = [b"resource am9iX3Jlc3VsdC8xL2EuYmlu", b"filename YQ==,filetype ", b"a", b""]
    return Parser(examples, one, LONGEST_FIELD)


MESSAGES = (Project, Workflow, Task, Run, Job, TaskType, Worker, Listing, Registration, Change)


def messages(_):
    def one(data):
        if not data:
            return
        kind = MESSAGES[data[0] % len(MESSAGES)]
        try:
            value = json.loads(data[1:])
        except (ValueError, RecursionError):
            return  # the server says so before
        with suppress(InvalidRecord):
            message = read(kind, value, "message")
            assert read(kind, json.loads(json.dumps(write(message))), "message") == message

    examples = [
        {"name": "p", "metadata": {"a": [1, None]}}, {"project_serial": 1, "state": "Active"},
        {"workflow_serial": 1, "task_type_serial": 2, "inputs": [{"key": "a", "mode": "ui"}]},
        {"workflow_serial": 1, "priority": "High"}, {"task_serial": 1, "state": "Ready", "inputs": {}},
        {"name": "T", "version": "1.0.0.0"}, {"name": "w", "packages": [["Core", "1.0.0.0"]]},
        {"files": [{"resource": "job_result/1/a", "size": 1}], "folders": []},
        {"resource": "job_result/1/a", "size": 1, "sha256": "0" * 64}, {"values": {"/name": "x"}, "lock_version": 1},
    ]  # fmt: skip
    return Parser([bytes([n]) + json.dumps(value).encode() for n, value in enumerate(examples)], one)


PARSERS = {
    "aim": images(
        "aim",
        [*(("aim", name, "i1") for name in ("int8", "binCmp", "charCmp", "bit8")),
         ("aim", "int16", "i2"), ("aim", "float32", "f4"), ("aim", "vaxF", "f4")],
        old_aim,
    ),
    "isq": images("isq", [("isq", None, "i2")], projections),
    "gobj": images("gobj", [("gobj", None, "i1")]),
    "omni": images("omni", [("omni", None, "i2")]),
    "nifti": images("nii", [("nii", None, "i2")]),
    "nifti-gz": images("nii.gz", [("nii.gz", None, "i2")]),
    "metaimage": images("mha", [("mha", None, "i2")]),
    "nrrd": images("nrrd", [("nrrd", None, "i2")]),
    "tiff": images("tif", [("tif", None, "i2")]),
    "vgi": images("vgi", [("vgi", None, "i2")]),
    "dicom": dicom,
    "packages": packages,
    "bundles": bundles,
    "captures": captures,
    "settings": settings,
    "tokens": tokens,
    "ranges": ranges,
    "file-fields": file_fields,
    "tus": tus,
    "messages": messages,
}  # fmt: skip
"""Makes each parser, given a folder of its own."""
