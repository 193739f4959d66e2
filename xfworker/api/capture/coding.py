"""Turns recorded values into Python and back, with the objects, classes and folders that belong to a capture."""

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.api.capture import documented
from xfworker.api.capture.local_work import set_facts
from xfworker.api.capture.objects import Answers, RecordedContext, RecordedObject, make_class
from xfworker.api.capture.values import (
    SECRET,
    LeftOut,
    Places,
    RecordedDict,
    SecretBytes,
    SecretInt,
    SecretString,
    builtin_exception,
    decode_array,
    decode_bytes,
    decode_scalar,
    decode_secret,
    decode_simple,
    decode_tuple,
    encode_array,
    encode_bytes,
    encode_simple,
    is_path,
)
from xfworker.services.capture.manifest import CaptureManifest

_FOLDER = re.compile(r"\[folder (\d+)\]")
_DEEPEST = 24
_NOT_ATTRIBUTES = ("files", "calibrations")


@define(eq=False, slots=False)
class Coder:
    """
    Encodes and decodes values.

    Attributes:
        manifest: Names the classes of a capture.
        places: Where its folders and files are.
        answers: Who answers what its objects are asked.
        note: Called with a sentence for people.
        objects: The recorded objects that were given out, by number.
        classes: Classes of recorded objects, by name.
        exceptions: Classes of recorded exceptions, by name.
        enums: Recorded enumerations, by name.
        lays_files: Whether the files of decoded paths are laid out; not those that a script makes itself.
    """

    manifest: CaptureManifest
    places: Places
    answers: Answers
    note: Callable[[str], None]
    objects: dict[int, RecordedObject] = field(factory=dict)
    classes: dict[str, type] = field(factory=dict)
    exceptions: dict[str, type[BaseException]] = field(factory=dict)
    enums: dict[str, type[enum.Enum]] = field(factory=dict)
    lays_files: bool = True
    _own_numbers: int = field(default=-1, init=False)

    def encode_argument(self, value: Any) -> Any:
        """Encode an argument: strings that are paths of this job's files are paths, as recorders take them."""
        if isinstance(value, str) and Path(value).is_absolute() and self.places.holds(value):
            return self._encoded_path(Path(value))
        return self.encode(value)

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Give a value of the script in its recorded form."""
        if depth > _DEEPEST:
            return {"$": "omitted", "reason": "it is nested too deeply"}
        if isinstance(value, SecretString | SecretInt | SecretBytes):
            return {"$": "secret", "type": type(value).__name__.removeprefix("Secret").lower()}
        if isinstance(value, enum.Enum):
            return encode_simple(value)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, str):
            return self._encoded_string(value)
        if isinstance(value, float):
            return value if value - value == 0 else {"$": "float", "value": repr(float(value))}
        if is_path(value):
            return self._encoded_path(Path(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return encode_bytes(bytes(value))
        if isinstance(value, RecordedObject):
            return {"$": "object", "id": vars(value).get("_xf_id"), "class": value._xf_class}  # noqa: SLF001  the player's
        return self._encoded_composite(value, depth + 1)

    def decode(self, encoded: Any, *, name: str = "", is_new: bool = False) -> Any:
        """
        Give a recorded value as Python.

        Args:
            encoded: The recorded form.
            name: The call that gave it.
            is_new: Whether an object is made anew although one of its number is there.
        """
        try:
            return self._decoded(encoded, name, is_new=is_new)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            return LeftOut(f"it is not what a recorder writes ({type(error).__name__}: {str(error)[:80]})")

    def _decoded(self, encoded: Any, name: str, *, is_new: bool) -> Any:
        if isinstance(encoded, str):
            return self._decoded_string(encoded)
        if isinstance(encoded, list):
            return [self.decode(item) for item in encoded]
        if not isinstance(encoded, dict):
            return encoded
        kind = encoded.get("$")
        if kind is None:
            return {self._decoded_string(key): self.decode(item) for key, item in encoded.items()}
        decoder = self._decoders().get(str(kind))
        if decoder is not None:
            return decoder(encoded)
        if kind == "object":
            return self._decoded_object(encoded, name, is_new=is_new)
        return decode_simple(str(kind), encoded)

    def _decoders(self) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
        items = self._items
        return {
            "tuple": lambda encoded: decode_tuple(encoded, items(encoded)),
            "list": items,
            "set": lambda encoded: set(items(encoded)),
            "frozenset": lambda encoded: frozenset(items(encoded)),
            "dict": self._decoded_dict,
            "iterator": self._iterated,
            "path": self._decoded_path,
            "secret": decode_secret,
            "bytes": lambda encoded: decode_bytes(encoded, self.places),
            "array": lambda encoded: decode_array(encoded, self.places),
            "scalar": decode_scalar,
            "exception": self.exception,
            "enum": self._decoded_enum,
            "name": lambda encoded: encoded.get("name"),
            "pending": lambda _: None,
            "omitted": lambda encoded: LeftOut(str(encoded.get("reason"))),
        }

    def _items(self, encoded: Mapping[str, Any]) -> list[Any]:
        return [self.decode(item) for item in encoded.get("items", ())]

    def _iterated(self, encoded: Mapping[str, Any]) -> Iterator[Any]:
        for item in encoded.get("items", ()):
            yield self.decode(item)
        if not encoded.get("complete"):
            self.note("an iterator was not read to its end when the job was captured; it ends where the job stopped")

    def _decoded_path(self, encoded: Mapping[str, Any]) -> Any:
        # The files of derived images are the script's own; those that were captured must not take their place.
        path = self.places.materialised(encoded) if self.lays_files else self.places.path(encoded)
        return str(path) if encoded.get("text") else path

    def _decoded_dict(self, encoded: Mapping[str, Any]) -> Any:
        pairs = [(self.decode(key), self.decode(item)) for key, item in encoded.get("items", ())]
        return RecordedDict(pairs) if encoded.get("class") else dict(pairs)

    def _decoded_enum(self, encoded: Mapping[str, Any]) -> Any:
        members = self.enums.get(str(encoded.get("class")))
        name = str(encoded.get("name"))
        return (
            members[name] if members is not None and name in members.__members__ else self.decode(encoded.get("value"))
        )

    def _decoded_string(self, text: str) -> str:
        if text == SECRET:
            return SecretString(text)
        return _FOLDER.sub(lambda match: str(self.places.folder(int(match[1]))), text) if "[folder " in text else text

    def _decoded_object(self, encoded: dict[str, Any], name: str, *, is_new: bool) -> Any:
        number = int(encoded.get("id", 0))
        if encoded.get("context") and str(encoded.get("class")).startswith("_"):
            return RecordedContext(self.answers, name, number)
        instance = None if is_new else self.objects.get(number)
        if instance is None:
            instance = self.new_object(str(encoded.get("class")), number)
        self.adopt(instance, encoded)
        return instance

    def adopt(self, instance: RecordedObject, encoded: Mapping[str, Any]) -> None:
        """Let an object be the one that was recorded, with the data that were recorded of it."""
        number = int(encoded.get("id", 0))
        vars(instance)["_xf_id"] = number
        self.objects[number] = instance
        state = encoded.get("state")
        if isinstance(state, dict):
            self.set_state(instance, state)

    def set_state(self, instance: RecordedObject, state: Mapping[str, Any]) -> None:
        """Give an object data that were recorded, where they are other than the last ones."""
        data = vars(instance)
        before = data.setdefault("_xf_state", {})
        for name, encoded in state.items():
            if name in ("$image", "$calibration"):
                decoded = self._facts(name, encoded)
                data["_xf_facts"] = {**data.get("_xf_facts", {}), **decoded}
                set_facts(instance, {key: value for key, value in decoded.items() if key not in _NOT_ATTRIBUTES})
            elif name not in before or before[name] != encoded:
                value = self.decode(encoded)
                if type(data.get(name)) is dict and type(value) is dict:
                    # A script may hold the record itself, and sees it change in its place.
                    data[name].clear()
                    data[name].update(value)
                else:
                    data[name] = value
                before[name] = encoded
        if self._is_working_directory(instance):
            data["path"] = self.places.working

    def _facts(self, name: str, encoded: Any) -> dict[str, Any]:
        facts = {key: self.decode(value) for key, value in encoded.items() if key not in ("files", "calibrations")}
        if name == "$image":
            facts["calibrations"] = encoded.get("calibrations")
            facts["files"] = [self.decode(item) for item in encoded.get("files", ())]
        return facts

    def _is_working_directory(self, instance: RecordedObject) -> bool:
        return instance._xf_class == documented.WORKING_DIRECTORY  # noqa: SLF001  the objects are the player's

    def exception(self, encoded: Mapping[str, Any]) -> BaseException:
        """Make the exception that was recorded, of a class of the same name and kind."""
        name = str(encoded.get("class"))
        message = self._decoded_string(str(encoded.get("message", "")))
        if name == "SystemExit":
            return SystemExit(encoded.get("code"))
        bases = list(encoded.get("bases", ()))
        cls = self.exceptions.get(name)
        if cls is None:
            base = (
                builtin_exception([name, *bases]) if encoded.get("module") != "builtins" else builtin_exception([name])
            )
            is_own = encoded.get("module") != "builtins" and name.isidentifier()
            cls = type(name, (base,), {}) if is_own else base
            self.exceptions[name] = cls
        args = [self.decode(item) for item in encoded.get("args", ())] or [message]
        error = cls.__new__(cls, *args)
        error.args = tuple(args)
        state = encoded.get("state")
        if isinstance(state, dict):
            vars(error).update({key: self.decode(value) for key, value in state.items() if key.isidentifier()})
        return error

    def new_object(self, class_name: str, number: int) -> RecordedObject:
        """Make an object of a recorded class."""
        cls = self.class_of(class_name)
        instance: RecordedObject = cls.__new__(cls)
        vars(instance)["_xf_id"] = number
        self.objects[number] = instance
        return instance

    def class_of(self, name: str) -> Any:
        """Give the class of captured objects of a name, made once."""
        if name not in self.classes:
            self.classes[name] = make_class(self.answers, name, self.manifest.classes.get(name, {}))
        return self.classes[name]

    def calibration(self, facts: Mapping[str, Any]) -> RecordedObject:
        """Make a calibration from what an image stated of it."""
        calibration = self.new_object(documented.CALIBRATION, self.next_number())
        vars(calibration)["_xf_facts"] = dict(facts)
        set_facts(calibration, facts)
        return calibration

    def _encoded_string(self, text: str) -> str:
        for folder, number in sorted(self.places.texts().items(), key=lambda item: -len(item[0])):
            if folder in text:
                text = text.replace(folder, f"[folder {number}]")
        return text

    def _encoded_path(self, path: Path) -> dict[str, Any]:
        encoded: dict[str, Any] = {"$": "path", "name": path.name}
        number = self.places.number(path.parent)
        if path.is_dir():
            encoded["is_folder"] = True
            number = self.places.number(path)
        if number is not None:
            encoded["folder"] = number
        return encoded

    def _encoded_composite(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value) and "$" not in value and type(value) is dict:
                return {self._encoded_string(key): self.encode(item, depth) for key, item in value.items()}
            pairs = [[self.encode(key, depth), self.encode(item, depth)] for key, item in value.items()]
            return {"$": "dict", "items": pairs, **({} if type(value) is dict else {"class": type(value).__name__})}
        if isinstance(value, tuple):
            return {"$": "tuple", "items": [self.encode(item, depth) for item in value], **_fields(value)}
        if isinstance(value, list):
            return [self.encode(item, depth) for item in value]
        if isinstance(value, set | frozenset):
            items = [self.encode(item, depth) for item in sorted(value, key=repr)]
            return {"$": "set" if isinstance(value, set) else "frozenset", "items": items}
        simple = encode_simple(value)
        if simple is not None:
            return simple
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            if not value.shape and not hasattr(value, "__setitem__"):
                return {"$": "scalar", "dtype": str(value.dtype.str), "value": self.encode(value.item(), depth)}
            return encode_array(value)
        if isinstance(value, type):
            return {"$": "name", "name": f"{value.__module__}.{value.__qualname__}"}
        return {"$": "object", "id": None, "class": type(value).__name__}

    def next_number(self) -> int:
        """Give a number for an object that was not recorded."""
        self._own_numbers -= 1
        return self._own_numbers


def _fields(value: tuple[Any, ...]) -> dict[str, Any]:
    fields = getattr(value, "_fields", None)
    return {"class": type(value).__name__, "fields": list(fields)} if fields else {}
