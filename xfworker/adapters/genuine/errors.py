"""What the documented calls cannot do."""

from xfworker.domain.errors import ServerError


class CallNotDocumented(ServerError):
    """The documented functions of the genuine ``xfworkerutil`` have none for this; nothing was changed."""

    code = "call-not-documented"

    def __init__(self, doing: str) -> None:
        super().__init__(
            f"The genuine xfworkerutil has no documented call to {doing}; docs/genuine.md lists what it can do."
        )
