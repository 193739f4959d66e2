"""The parameters of calls: as the captured module had them, or as they are documented."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

from attrs import define

from xfworker.api.capture import documented


@define(frozen=True)
class Signatures:
    """
    The parameters of calls.

    Attributes:
        recorded: As the capture has them, by call.
        decode: Decodes their defaults.
    """

    recorded: Mapping[str, Any]
    decode: Callable[[Any], Any]

    def bound(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Give arguments by parameter; raises TypeError where they are not those of the call."""
        signature = self._signature(name)
        if signature is None:
            return {**({"*": list(args)} if args else {}), **kwargs}
        return dict(signature.bind(*args, **kwargs).arguments)

    def _signature(self, name: str) -> Signature | None:
        listed = self.recorded.get(name)
        if not isinstance(listed, list):
            return documented.signature_of(name)
        parameters = []
        for item in listed:
            default = self.decode(item["default"]) if "default" in item else Parameter.empty
            parameters.append(Parameter(str(item["name"]), getattr(Parameter, str(item["kind"])), default=default))
        return Signature(parameters)

    def completed(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Give encoded arguments in the order of the parameters, with defaults for those that were not given."""
        listed = self.recorded.get(name)
        if not isinstance(listed, list):
            return dict(args)
        defaults = {item["name"]: item["default"] for item in listed if "default" in item}
        ordered = [item["name"] for item in listed if item["name"] in args or item["name"] in defaults]
        return {**{key: args.get(key, defaults.get(key)) for key in ordered}, **args}
