"""The part of the OpenAPI document that is about looking at images; docs/viewer.md says it in words."""

from xfworker.adapters.wire.schema import Schema, reference

IMAGES = "/images/v1"

_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"application/json": {"schema": {"type": "object"}}}
_BINARY: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_PROBLEM: Schema = {"application/problem+json": {"schema": reference("Problem")}}
_PROBLEMS = {
    "400": "There is no such tile, or it is not named so.",
    "401": "The token is missing, forged or expired.",
    "403": "The caller may not read a file of the image.",
    "404": "There is no such file; or it has changed since the tile was named; or the chunk holds zeros only.",
    "422": "It is not an image of a known format, or the resource is malformed.",
    "429": "Too many requests of this address are open; try again after `Retry-After`.",
    "503": "What is asked for needs the pyramid, which is being built, or too much is asked for at once.",
}


def image_paths(security: list[Schema]) -> Schema:
    """
    Give the paths of images.

    Args:
        security: The tokens that they take.
    """
    path = {
        "name": "path",
        "in": "path",
        "required": True,
        "schema": {**_TEXT, "examples": ["job_result/3/scan.aim", "job_result/3/scan.aim.ome.zarr/0/c/0/0/0"]},
        "description": "The resource of an image: a file, a folder, or a series (`<file>.series`); or a path in its"
        " OME-Zarr, `<resource>.ome.zarr/...`. Slashes between segments stand as they are. `link/<token>/` before it"
        " stands for the header field.",
    }
    queries = {
        "tile": "`<key>.<source>.<axis>.<level>.<index>.<row>.<column>`, as the description has them.",
        "over": "The resource of another image: where this one lies in it is described, too.",
        "onto": "The resource of another image that this one is moved onto: its grid is described, and tiles have it.",
        "minus": "The resource of another image of the same grid that is subtracted: the difference is described.",
        "transform": "16 numbers with commas between them: a matrix, row by row, that carries places of this image to"
        " the other one, in mm.",
    }
    problems = {status: {"description": what, "content": _PROBLEM} for status, what in _PROBLEMS.items()}
    shown: Schema = {
        "operationId": "view_image",
        "summary": "Describe an image, or give a tile of a plane, or a document or chunk of its OME-Zarr.",
        "security": security,
        "parameters": [
            path,
            *({"name": name, "in": "query", "schema": _TEXT, "description": what} for name, what in queries.items()),
        ],
        "responses": {
            "200": {
                "description": "The description or document, or little-endian voxels.",
                "content": {**_OBJECT, **_BINARY},
                "headers": {"ETag": {"description": "Of tiles and chunks, strong.", "schema": _TEXT}},
            },
            "304": {"description": "The tile or chunk is the one that the client has."},
            **problems,
        },
    }
    link: Schema = {
        "operationId": "link_image",
        "summary": "Make a link to an image as OME-Zarr, for viewers that cannot send a token.",
        "security": security,
        "parameters": [path],
        "responses": {"201": {"description": "`ome_zarr`, a path with a token, and `expires_at`.", "content": _OBJECT}}
        | problems,
    }
    return {f"{IMAGES}/{{path}}": {"get": shown, "post": link}}
