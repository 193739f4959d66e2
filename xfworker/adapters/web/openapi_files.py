"""The part of the OpenAPI document that is about files: the file storage service, and the catalogue of measurements."""

from xfworker.adapters.wire.field_types import Count, Serial
from xfworker.adapters.wire.files import FileEntry, Listing, Registration
from xfworker.adapters.wire.records import Items
from xfworker.adapters.wire.schema import Schema, reference, schema
from xfworker.domain.files import SERIAL_KEYS
from xfworker.ports.sns_server import Measurement

FSS = "/fss/v1"
SNS = "/sns/v1"
FILE_TOKEN = "file_token"  # noqa: S105  the name of a security scheme
"""The security scheme of the file storage service."""

_TEXT = schema(str)
_COUNT = schema(Count)
_BYTES: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_PROBLEM: Schema = {"application/problem+json": {"schema": reference("Problem")}}
_PROBLEMS = {
    "400": "The request cannot be understood, or the store has no such request.",
    "401": "The token is missing, forged or expired, or it is not a file token.",
    "403": "The token is not for this, or for another resource.",
    "404": "There is no such file, folder or upload.",
    "405": "An upload takes HEAD, PATCH and DELETE.",
    "409": "The upload stands at another offset, or the file changed meanwhile.",
    "412": "Another version of tus was asked for.",
    "415": "The body of an upload is `application/offset+octet-stream`.",
    "422": "A name in the path is not safe on every system, or the source is unknown.",
    "429": "Too many requests of this address are open; try again after `Retry-After`.",
    "460": "What arrived has another digest than was stated.",
    "503": "The server or its store is busy; try again after `Retry-After`.",
    "507": "The disk has no room for it.",
}
_ETAG = {"ETag": "Another for every change of the file."}
_CONTENT = {
    **_ETAG,
    "Repr-Digest": "RFC 9530, sha-256 of the whole file, where the server knows it.",
    "XF-Quick-Digest": "`xxh3-128=:<base64>:` of the whole file, where the server knows it.",
}
_FILE = {
    **_CONTENT,
    "Accept-Ranges": "`bytes`.",
    "Last-Modified": "When the file changed last.",
    "XF-Direct-Access-Path": "Where the file lies on the shared disk, percent-encoded UTF-8; if the store is on one.",
    "XF-Sample-Digest": "SHA-256 over parts of the content; see docs/protocol.md.",
}
_REDIRECT = {
    **_FILE,
    "Location": "Where the bytes are; no token is needed there.",
    "XF-File-Size": "Of the whole file, in bytes.",
}
_RANGE = {"Content-Range": "Which bytes these are, and how many there are in all."}
_UPLOAD = {"Tus-Resumable": "`1.0.0`.", "Upload-Offset": "How many bytes are there.", "Upload-Expires": "How long."}
_BEGUN = {**_UPLOAD, "XF-Piece-Bytes": "How large the pieces are that may be put into the object store directly."}


def file_paths() -> Schema:
    """Give the paths of the file storage service. Each template stands for deeper paths as well."""
    record = [_parameter("source", "path", {"type": "string", "enum": sorted(SERIAL_KEYS)}), _serial()]
    name = _parameter("filename", "path", {**_TEXT, "minLength": 1, "examples": ["scan.omni"]}, _SEGMENT)
    virtual = _parameter(
        "virtualpath",
        "path",
        {**_TEXT, "minLength": 1, "examples": ["scan.isq"]},
        f"{_SEGMENT} Slashes between segments stand as they are.",
    )
    return {
        f"{FSS}/files/{{source}}/{{serial}}/{{filename}}": _file_operations("file", [*record, name]),
        f"{FSS}/files/userdata/{{virtualpath}}": _file_operations("userdata_file", [virtual]),
        f"{FSS}/folders/{{source}}/{{serial}}": {"get": _listing("list_files", record)},
        f"{FSS}/folders/userdata": {"get": _listing("list_userdata", [])},
        f"{FSS}/registrations": {
            "post": _operation(
                "register_file",
                "Register a file that was written into the store's folder directly.",
                {"200": _answer("What is known of the file.", _json(FileEntry), _CONTENT)},
                ("404", "409", "422", "460"),
                body={"application/json": {"schema": schema(Registration)}},
            )
        },
        **_upload_paths(),
    }


_SEGMENT = "Percent-encoded; one segment, without separators, and a name that every system can have."


def _file_operations(noun: str, path: list[Schema]) -> Schema:
    ranges = [_header("Range", "One range of bytes."), _header("If-Range", "The `ETag` that the range is of.")]
    known = _header("If-None-Match", "The `ETag` of what the caller has.")
    digests = [_header(name, "`sha-256=:<base64>:`; checked.") for name in ("Repr-Digest", "Content-Digest")]
    digests.append(_header("XF-Quick-Digest", "`xxh3-128=:<base64>:`; checked."))
    wanted = _header("Want-Repr-Digest", "`sha-256=1` asks for `Repr-Digest` where it is not known yet.")
    for_writing = _parameter(
        "for", "query", {"type": "string", "enum": ["write"]}, "Where the file may be written directly; asks for 204."
    )
    unchanged = {"304": _answer("The caller has it.", None, _ETAG)}
    beyond = {"416": _answer("There are no such bytes.", None, _RANGE)}
    whole = {"200": _answer("The file.", _BYTES, _FILE), "206": _answer("Its bytes.", _BYTES, {**_FILE, **_RANGE})}
    follows = _header("XF-Takes-Redirects", "`?1`: the caller reads large files from where the server says.")
    redirect = {"307": _answer("The object store has it, at an address that is good for minutes.", None, _REDIRECT)}
    head = {
        status: {key: part for key, part in answer.items() if key != "content"} for status, answer in whole.items()
    } | {"204": _answer("Its folder exists.", None, {"XF-Direct-Access-Path": _FILE["XF-Direct-Access-Path"]})}
    return {
        "head": _operation(
            f"stat_{noun}",
            "What is known of a file. Problems travel as `XF-Error` and `XF-Error-Detail`.",
            head | unchanged | beyond,
            ("404", "422"),
            parameters=[*path, for_writing, *ranges, known, wanted],
            has_body=False,
        ),
        "get": _operation(
            f"get_{noun}",
            "Download.",
            whole | redirect | unchanged | beyond,
            ("404", "422"),
            parameters=[*path, *ranges, known, wanted, follows],
        ),
        "put": _operation(
            f"put_{noun}",
            "Store a file by one request. It appears under its name when it is complete.",
            {"201": _answer("What is known of it.", _json(FileEntry), _CONTENT)},
            ("409", "422", "460", "507"),
            parameters=[*path, *digests, wanted],
            body=_BYTES,
        ),
        "delete": _operation(
            f"delete_{noun}", "Delete a file.", {"204": _answer("It is gone.")}, ("404", "422"), parameters=path
        ),
    }


def _listing(name: str, path: list[Schema]) -> Schema:
    answer = _answer("Files and folders, sorted. A folder that is not there is empty.", _json(Listing))
    return _operation(name, "List a folder.", {"200": answer}, ("404", "422"), parameters=path)


def _upload_paths() -> Schema:
    version = _parameter("Tus-Resumable", "header", {"type": "string", "enum": ["1.0.0"]}, required=True)
    offset = _parameter("Upload-Offset", "header", _COUNT, "Where the body begins.", required=True)
    length = _parameter("Upload-Length", "header", _COUNT, "The size of the file.", required=True)
    metadata = _header("Upload-Metadata", "`resource <base64>`: the path in the store; `sha256 <base64>`: its digest.")
    checksum = _header("Upload-Checksum", "`sha256 <base64>`, `sha1` or `md5`: of the body.")
    prefix = _header("XF-Prefix-Digest", "Of everything before this body.")
    whole = [_header(name, "With the last body: of the whole.") for name in ("Repr-Digest", "XF-Quick-Digest")]
    takes_redirects = _header("XF-Takes-Redirects", "`?1`: the caller puts pieces where the server says.")
    pieces = _header("XF-Pieces-Digest", "With an empty body at the end: the MD5 of the MD5s of all pieces, in hex.")
    begin = _parameter("offset", "path", _COUNT, "Where the piece begins: a multiple of `XF-Piece-Bytes`.")
    md5 = _parameter("Content-MD5", "header", _TEXT, "Of the piece, in base64 (RFC 1864).", required=True)
    upload = _parameter("upload", "path", {**_TEXT, "minLength": 1}, "What `Location` named.")
    about = [upload, version]
    return {
        f"{FSS}/uploads": {
            "options": _abilities("get_upload_abilities"),
            "post": _operation(
                "begin_upload",
                "Begin an upload in several requests (tus 1.0).",
                {"201": _answer("It can begin.", None, {"Location": "The upload, relative to this.", **_BEGUN})},
                ("405", "412", "422", "460", "507"),
                parameters=[version, length, metadata, takes_redirects],
            ),
        },
        f"{FSS}/uploads/{{upload}}": {
            "options": _abilities("get_abilities_of_upload", parameters=[upload]),
            "head": _operation(
                "get_upload",
                "How far an upload is.",
                {"200": _answer("This far.", None, {**_BEGUN, "Upload-Length": "The size of the file."})},
                ("404", "412"),
                parameters=[*about, takes_redirects],
                has_body=False,
            ),
            "patch": _operation(
                "continue_upload",
                "Send the next bytes.",
                {"204": _answer("They are kept.", None, _UPLOAD)},
                ("404", "409", "412", "415", "460", "507"),
                parameters=[*about, offset, checksum, prefix, *whole, pieces],
                body={"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            ),
            "delete": _operation(
                "end_upload",
                "Give an upload up.",
                {"204": _answer("It is gone.")},
                ("404", "412"),
                parameters=about,
            ),
        },
        f"{FSS}/uploads/{{upload}}/{{offset}}": {
            "options": _abilities("get_abilities_of_piece", parameters=[upload, begin]),
            "put": _operation(
                "place_piece",
                "Ask where a piece of a file may be put, where uploads go to an object store. It has no body here.",
                {"307": _answer("There, by the same method, for some minutes.", None, {"Location": "An address."})},
                ("404", "405", "412", "422"),
                parameters=[*about, begin, takes_redirects, md5],
            ),
        },
    }


def _abilities(name: str, *, parameters: list[Schema] | None = None) -> Schema:
    abilities = {
        "Tus-Version": "`1.0.0`.",
        "Tus-Extension": "`creation,expiration,checksum,termination`.",
        "Tus-Checksum-Algorithm": "For `Upload-Checksum`.",
        "XF-Prefix-Digest": "Digests that `XF-Prefix-Digest` may be of.",
    }
    responses = {"204": _answer("This.", None, abilities)}
    operation: Schema = {"operationId": name, "summary": "What uploads can do.", "security": [], "responses": responses}
    return operation | ({"parameters": parameters} if parameters else {})


def measurement_paths() -> Schema:
    """Give the paths of the catalogue of measurements, which is served where the server has a folder of them."""
    index: Schema = {"type": "integer", "minimum": 0, "maximum": 10**10 - 1}
    etag = {"ETag": "Another for every change of the file.", "Accept-Ranges": "`bytes`."}
    listing = _operation(
        "list_measurements",
        "Measurements by patient index, then measurement index.",
        {"200": _answer("All that fit.", _json(Items[Measurement]))},
        ("404",),
        parameters=[_parameter(name, "query", index) for name in ("patient_index", "measurement_index")],
    )
    download = _operation(
        "get_measurement",
        "The ISQ file of a measurement; of several, the one that changed last.",
        {
            "200": _answer("The file.", _BYTES, etag),
            "206": _answer("Its bytes.", _BYTES, {**etag, **_RANGE}),
            "416": _answer("There are no such bytes.", None, _RANGE),
        },
        ("404",),
        parameters=[
            _parameter("index", "path", index),
            _header("Range", "One range of bytes."),
            _header("If-Range", "The `ETag` that the range is of."),
        ],
    )
    for operation in (listing, download):
        del operation["security"]
    return {
        f"{SNS}/measurements": {"get": listing},
        f"{SNS}/measurements/{{index}}/file": {"get": download},
    }


def _operation(
    name: str,
    summary: str,
    answers: Schema,
    problems: tuple[str, ...],
    *,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    has_body: bool = True,
) -> Schema:
    responses = dict(answers)
    for status in sorted({"400", "401", "403", "429", "503", *problems}):
        responses[status] = _answer(_PROBLEMS[status], _PROBLEM if has_body else None)
    operation: Schema = {
        "operationId": name,
        "summary": summary,
        "security": [{FILE_TOKEN: []}],
        "responses": responses,
    }
    if parameters:
        operation["parameters"] = parameters
    return operation if body is None else operation | {"requestBody": {"required": True, "content": body}}


def _answer(what: str, content: Schema | None = None, headers: dict[str, str] | None = None) -> Schema:
    answer: Schema = {"description": what}
    if headers:
        answer["headers"] = {
            name: {"description": description, "schema": _TEXT} for name, description in headers.items()
        }
    return answer if content is None else answer | {"content": content}


def _json(kind: type) -> Schema:
    return {"application/json": {"schema": schema(kind, answered=True)}}


def _parameter(name: str, location: str, kind: Schema, what: str = "", *, required: bool = False) -> Schema:
    parameter: Schema = {"name": name, "in": location, "schema": kind}
    if what:
        parameter["description"] = what
    return parameter | ({"required": True} if required or location == "path" else {})


def _header(name: str, what: str) -> Schema:
    return _parameter(name, "header", _TEXT, what)


def _serial() -> Schema:
    return _parameter("serial", "path", {**schema(Serial), "examples": [1]})
