"""The addresses of files below a file store's base address."""

from urllib.parse import quote

from xfworker.domain.files import Resource


def file_path(resource: Resource) -> str:
    """Give the path of a file below the service's base address."""
    return f"/files/{quoted(resource)}"


def quoted(resource: Resource) -> str:
    """Percent-encode a resource, segment by segment."""
    return quote("/".join(resource.segments))  # no segment holds a slash
