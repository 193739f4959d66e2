"""What follows from a form: a message for the script that sent it, or the next page for a browser without scripts."""

from typing import Any

from litestar import Response
from litestar.response import Redirect

from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest
from xfworker.domain.errors import UsageError


def done(request: AnyRequest, message: str, *, page: str, go: bool = False) -> Response[Any]:
    """
    Answer a form that was carried out.

    Args:
        request: The request.
        message: What was done.
        page: The page that shows it.
        go: Whether a script is to go to that page; else it stays where it is.
    """
    if "application/json" in request.headers.get("accept", ""):
        return answer_json(request, {"message": message, **({"go": page} if go else {})})
    return Redirect(page, status_code=303, headers=PAGE_HEADERS)


async def form_value(request: AnyRequest, name: str, *, most: int = 200) -> str:
    """
    Give a field of a form.

    Raises:
        UsageError: It is too long.
    """
    value = (await request.form()).get(name, "")
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > most:
        raise UsageError(f"{name}: at most {most} characters")
    return text


async def form_version(request: AnyRequest) -> int | None:
    """Give the lock version that a form was made from, or ``None`` where it does not say."""
    text = await form_value(request, "version", most=18)
    return int(text) if text.isascii() and text.isdigit() else None
