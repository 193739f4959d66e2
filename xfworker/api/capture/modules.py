"""The modules that a script imports when a capture is played back."""

import enum
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from xfworker.api.capture import documented
from xfworker.api.capture.errors import NotRecorded
from xfworker.api.capture.player import Player
from xfworker.api.capture.values import builtin_exception


def captured_modules(player: Player) -> dict[str, ModuleType]:
    """
    Make the modules by name; ``xfcapture`` is among them and does nothing.

    Each has the documented names, and those that the captured module had.
    """
    modules = {name: _module(player, name) for name in documented.MODULES}
    return {**modules, "xfcapture": ModuleType("xfcapture", "Does nothing while a capture is played back.")}


def _module(player: Player, name: str) -> ModuleType:
    module = ModuleType(name, f"What a capture holds of the module {name}.")
    names: Mapping[str, Any] = player.manifest.names.get(name) or {}
    described = {**{public: {"$": "function"} for public in documented.functions_of(name)}, **names}
    # Exceptions with few bases first, so that each finds the one that it is derived from.
    for public, what in sorted(described.items(), key=_depth):
        if public.isidentifier() and not public.startswith("__"):
            setattr(module, public, _named(player, name, public, what))
    for class_name in documented.CLASSES.get(name, ()):
        setattr(module, class_name, player.coder.class_of(class_name))
    if name == "xfworkerutil" and not hasattr(module, "ActivityLogLevel"):
        from xfworker.domain.activity_log_level import ActivityLogLevel

        module.ActivityLogLevel = ActivityLogLevel  # type: ignore[attr-defined]

    def missing(public: str) -> Any:
        if public.startswith("__"):
            raise AttributeError(public)
        known = ", ".join(sorted(item for item in vars(module) if not item.startswith("_"))) or "nothing"
        raise AttributeError(f"the captured module {name} has no {public!r}; it has: {known}")

    module.__getattr__ = missing  # type: ignore[method-assign]
    return module


def _named(player: Player, module: str, name: str, what: Any) -> Any:
    kind = what.get("$") if isinstance(what, dict) else None
    if kind == "class":
        return player.coder.class_of(name)
    if kind == "exception class":
        if name not in player.coder.exceptions:
            bases = list(what.get("bases", ()))
            known = next((player.coder.exceptions[base] for base in bases if base in player.coder.exceptions), None)
            player.coder.exceptions[name] = type(name, (known or builtin_exception(bases),), {})
        return player.coder.exceptions[name]
    if kind == "enum class":
        members = {str(key): player.coder.decode(value) for key, value in what.get("members", {}).items()}
        if name == "ActivityLogLevel" and not members:
            raise NotRecorded("the capture holds no levels of the activity log")
        make: Any = enum.Enum
        player.coder.enums[name] = make(name, members)
        return player.coder.enums[name]
    return _function(player, f"{module}.{name}") if kind == "function" else player.coder.decode(what)


def _depth(item: tuple[str, Any]) -> int:
    what = item[1]
    return len(what.get("bases", ())) if isinstance(what, dict) else 0


def _function(player: Player, full_name: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return player.call(None, full_name, args, kwargs)

    function.__name__ = function.__qualname__ = full_name.rpartition(".")[2]
    return function
