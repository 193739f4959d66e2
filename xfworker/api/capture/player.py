"""Plays a capture back: answers what a script asks of the documented modules, without any server."""

import enum
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from xfworker.api.capture import documented
from xfworker.api.capture.errors import NotRecorded, not_recorded
from xfworker.api.capture.local_work import SILENT, LocalWork, calibrated, set_facts
from xfworker.api.capture.objects import RecordedContext, RecordedObject, make_class
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
    holds,
    is_path,
)
from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.manifest import ERROR, FINISHED, HANDED_OVER, CaptureManifest
from xfworker.services.capture.matching import Matcher, as_template, substituted

_FOLDER = re.compile(r"\[folder (\d+)\]")
_OWN_SHAPE = "the captured job did not call it, so its result has the shape that xfworker gives it"


@define(frozen=True)
class PlayedCall:
    """
    A call that the script made.

    Attributes:
        name: Its name.
        args: Its arguments, encoded.
        answered_by: The number of the recorded call that answered it, or ``None``.
    """

    name: str
    args: Mapping[str, Any]
    answered_by: int | None = None


@define(eq=False, slots=False)
class Player:
    """
    Answers the calls of a script from a capture.

    Attributes:
        manifest: What the capture says of itself.
        recorded: Its calls.
        folder: A folder of its own for everything that is written.
        contents: The folder with the content of captured files.
        played: The calls that the script made.
        stored: Files that the script stored, by name.
        notes: What people should know about the replay.
        ending: How the script ended, as far as it said.
        outputs: What it finished with, encoded.
        units: The units that it stated.
        message: The error message that it left.
    """

    manifest: CaptureManifest
    recorded: Sequence[RecordedCall]
    folder: Path
    contents: Path
    played: list[PlayedCall] = field(factory=list)
    stored: dict[str, Path] = field(factory=dict)
    notes: list[str] = field(factory=list)
    ending: str = ""
    outputs: Any = None
    units: Any = None
    message: str | None = None
    images: dict[str, Any] = field(factory=dict)
    _objects: dict[int, RecordedObject] = field(factory=dict, init=False)
    _own_numbers: int = field(default=-1, init=False)
    _lays_files: bool = field(default=True, init=False)
    _read: dict[int, Any] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._lock = threading.RLock()
        self.recorded = [self._with_defaults(call) for call in self.recorded]
        self.matcher = Matcher(self.recorded)
        for name in ("places", "stored", "temp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.places = Places(self.manifest, self.contents, self.folder / "places", self.note)
        self.local = LocalWork(self.folder / "temp")
        self.places.set_working(self.local.directory.path, self._working_folder())
        self.classes: dict[str, type] = {}
        self.exceptions: dict[str, type[BaseException]] = {}
        self.enums: dict[str, type[enum.Enum]] = {}

    # --- what scripts do --------------------------------------------------------------------------------------------

    def call(self, owner: RecordedObject | None, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """
        Answer a call of a method, or of a function of a module where ``function`` has a dot.

        Raises:
            NotRecorded: Nothing in the capture answers it.
            TypeError: The arguments are not those of the function.
        """
        name = function if owner is None else f"{owner._xf_class}.{function}"  # noqa: SLF001  the objects are the player's
        with self._lock:
            arguments = self._bound(name, args, kwargs)
            encoded = {key: self.encode_argument(value) for key, value in arguments.items()}
            complete = self._with_default_args(name, encoded)
            last = name.rpartition(".")[2]
            found = self.matcher.find(name, complete, None if owner is None else vars(owner).get("_xf_id"))
            self.played.append(PlayedCall(name, encoded, None if found is None else found.number))
            self._store(last, arguments)
            if name in _ENDINGS:
                return self._end(name, arguments, encoded, found)
            if owner is not None and last in self.local.functions:
                return self.local.functions[last](arguments, self._recorded_name(found))
            if last == "set_output_units":
                self.units = encoded.get("units")
            elif last in ("set_error_message", "clear_error_message"):
                self.message = None if last == "clear_error_message" else str(arguments.get("message"))
            if found is not None:
                return self._answer(found, complete, owner, arguments)
            return self._unrecorded(name, owner, arguments, encoded)

    def construct(self, instance: RecordedObject, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Make an object that a script makes by itself."""
        name = instance._xf_class  # noqa: SLF001  the objects are the player's
        with self._lock:
            arguments = self._bound(name, args, kwargs)
            encoded = {key: self.encode_argument(value) for key, value in arguments.items()}
            complete = self._with_default_args(name, encoded)
            found = self.matcher.find(name, complete)
            self.played.append(PlayedCall(name, encoded, None if found is None else found.number))
            if found is not None and found.raised is not None:
                raise self._exception(found.raised)
            if found is not None and isinstance(found.result, dict) and found.result.get("$") == "object":
                self._adopt(instance, found.result)
                return
            if name == documented.JOB:
                raise not_recorded(name, complete, self.matcher.nearest(name, complete))
            vars(instance)["_xf_id"] = self._next_number()
            for key, value in arguments.items():
                if key.isidentifier():
                    vars(instance)[key] = value
            if name == documented.WORKING_DIRECTORY:
                vars(instance)["path"] = self.local.directory.path

    def read(self, owner: RecordedObject, name: str) -> Any:
        """
        Give data of an object.

        Raises:
            NotRecorded: The capture does not hold it.
            AttributeError: The object's class had no such member.
        """
        full = f"{owner._xf_class}.{name}"  # noqa: SLF001  the objects are the player's
        with self._lock:
            found = self.matcher.find(full, {}, vars(owner).get("_xf_id"))
            if found is not None:
                self.played.append(PlayedCall(full, {}, found.number))
                if found.raised is not None:
                    raise self._exception(found.raised)
                if found.number not in self._read:
                    self._read[found.number] = self.decode(found.result)
                    _remember_pixels(owner, self._read[found.number])
                return self._read[found.number]
            facts = vars(owner).get("_xf_facts", {})
            if name in facts:
                return facts[name]
            if owner._xf_class == documented.IMAGE and name == "pixels":  # noqa: SLF001  as above
                return self._pixels(owner)
            members = self.manifest.classes.get(owner._xf_class, {}).get("members", {})  # noqa: SLF001  as above
            if name in members:
                raise not_recorded(full, {}, self.matcher.nearest(full, {}))
            raise AttributeError(f"the captured {owner._xf_class} has no attribute {name!r}; it has: {_listed(owner)}")  # noqa: SLF001  as above

    def enter(self, name: str, number: int) -> Any:
        """Give what a with block got."""
        full = f"{name}.__enter__"
        with self._lock:
            found = self.matcher.find(full, {}, number)
            if found is None:
                self.note(
                    f"{name} was not entered by a with block when the job was captured, so the block gets nothing"
                )
                return None
            return self.decode(found.result)

    def uncaught(self, error: BaseException) -> None:
        """Take note of an exception that ends the script."""
        self.ending = "exception"
        self.message = str(error) if isinstance(error, NotRecorded) else f"{type(error).__name__}: {error}"

    def note(self, text: str) -> None:
        """Keep a sentence for people, once."""
        if text not in self.notes:
            self.notes.append(text)

    # --- answers ----------------------------------------------------------------------------------------------------

    def _answer(
        self, found: RecordedCall, args: Mapping[str, Any], owner: RecordedObject | None, arguments: Mapping[str, Any]
    ) -> Any:
        self._check_files(found, arguments)
        self._write(found, args, arguments)
        if found.raised is not None:
            self._update(owner, found)
            raise self._exception(found.raised)
        result = substituted(found.result, found.args, args)
        is_derived = found.function.startswith("derive_")
        self._lays_files = not is_derived and not (owner is not None and vars(owner).get("_xf_derived"))
        try:
            given = self.decode(result, name=found.name, is_new=is_derived)
        finally:
            self._lays_files = True
        if is_derived and isinstance(given, RecordedObject):
            self._derived(given, arguments, found.args)
        self._update(owner, found)
        if owner is not None:
            _remember_pixels(owner, given)
        return given

    def _unrecorded(
        self, name: str, owner: RecordedObject | None, arguments: Mapping[str, Any], args: Mapping[str, Any]
    ) -> Any:
        last = name.rpartition(".")[2]
        if last in SILENT:
            return None
        if owner is not None and owner._xf_class == documented.CALIBRATION and arguments:  # noqa: SLF001  the player's
            facts = {**vars(owner), **vars(owner).get("_xf_facts", {})}
            value = calibrated(facts, last, next(iter(arguments.values())))
            if value is not None:
                return value
        if owner is not None and owner._xf_class == documented.IMAGE:  # noqa: SLF001  as above
            given = self._image_call(owner, last, arguments)
            if given is not _NOTHING:
                return given
        if last == "save_job" and owner is not None:
            job = vars(owner).get("job")
            if isinstance(job, dict):
                job.update(arguments.get("kwargs", arguments))
            return job
        if last == "get_debug_info":
            return "played back from a capture"
        if last in ("upload_omni_output", "upload_omni_output_only_metadata") or last.startswith("create_output_"):
            return self._made(name, arguments, args)
        if last == "create_parameter" or last.startswith("virtualpath_join_"):
            return self._made(name, arguments, args)
        raise not_recorded(name, args, self.matcher.nearest(name, args))

    def _made(self, name: str, arguments: Mapping[str, Any], args: Mapping[str, Any]) -> Any:
        """Make what is made locally, in the shape that the captured module gave it."""
        similar = [call for call in self.matcher.named(name) if call.raised is None]
        if similar:
            model = max(similar, key=lambda call: sum(1 for key in args if call.args.get(key) == args[key]))
            return self.decode(as_template(model.result, model.args, args))
        last = name.rpartition(".")[2]
        if last == "virtualpath_join_file":
            return f"{str(arguments['folder']).rstrip('/')}/{arguments['name']}"
        if last == "virtualpath_join_folder":
            return f"{str(arguments['folder']).rstrip('/')}/{str(arguments['virtual_name']).strip('/')}/"
        self.note(f"{last}: {_OWN_SHAPE}")
        if last == "create_parameter":
            more = {key: value for key, value in arguments.items() if key not in ("type_name", "kwargs")}
            return {"type": arguments.get("type_name"), **arguments.get("kwargs", {}), **more}
        if last.startswith("upload_omni_output"):
            image = arguments["image"]
            path = Path(image.metadata_path)
            size = list(getattr(image, "size_3d_tuple", ()))
            return {"type": "Image", "source": "job_result", "filename": path.name, "size": size}
        kind = "".join(word.capitalize() for word in last.removeprefix("create_output_").split("_"))
        kind = {"Csv": "CSV", "GiResult": "GIResult", "HtmlDocument": "HTMLDocument"}.get(kind, kind)
        kind = kind.replace("Voi", "VOI")
        return {"type": kind, **{key: value for key, value in arguments.items() if value is not None}}

    def _image_call(self, owner: RecordedObject, function: str, arguments: Mapping[str, Any]) -> Any:
        """Answer a call of an image that was never asked just so: from its facts, or by what such a call does."""
        facts = vars(owner).get("_xf_facts", {})
        if function == "pixel_calibrations_of_unit_type":
            asked = next(iter(arguments.values()), None)
            known = facts.get("calibrations")
            if isinstance(known, list) and asked == facts.get("default_pixel_calibration_unit_type"):
                return [self._calibration(line) for line in known]
            return _NOTHING
        if function in ("derive_image", "derive_segments"):
            return self._derive(owner, function, arguments)
        similar = [call for call in self.matcher.named(f"{documented.IMAGE}.{function}") if call.result is None]
        if not similar:
            return _NOTHING
        model = similar[-1]
        for encoded in model.wrote:
            target = _beside(owner, encoded)
            if target is None or (target.exists() and target.suffix != ".omni"):
                continue
            values = [value for value in arguments.values() if hasattr(value, "tobytes") and hasattr(value, "dtype")]
            if values and target.suffix != ".omni":
                values[0].tofile(target)
            else:
                self.places.materialised(encoded, target, is_written=True)
        return None

    def _derive(self, owner: RecordedObject, function: str, arguments: Mapping[str, Any]) -> RecordedObject:
        self.note(f"{function} was not asked like this when captured; the image has the facts of its source")
        derived = self._new(documented.IMAGE, self._next_number())
        own = {key: value for key, value in vars(owner).items() if not key.startswith("_xf")}
        facts = dict(vars(owner).get("_xf_facts", {}))
        if function == "derive_segments":
            for name in ("calibrations", "default_pixel_calibration_unit_type"):
                facts.pop(name, None)
                own.pop(name, None)
            facts["default_pixel_calibration_unit_type"] = None
        vars(derived).update({**own, "_xf_facts": facts})
        self._derived(derived, arguments, {})
        return derived

    def _derived(self, image: RecordedObject, arguments: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
        """Let a derived image have the paths that the script gave it."""
        given = [Path(value) for value in arguments.values() if is_path(value) or isinstance(value, str)]
        vars(image)["_xf_derived"] = True
        if not given:
            return
        before = [item.get("name") for item in recorded.values() if isinstance(item, dict) and item.get("$") == "path"]
        for name, value in list(vars(image).items()):
            if is_path(value) and value.name in before:
                vars(image)[name] = given[min(before.index(value.name), len(given) - 1)]
        vars(image)["metadata_path"] = given[0]
        vars(image).setdefault("_xf_facts", {})["metadata_path"] = given[0]

    def _pixels(self, image: RecordedObject) -> Any:
        """Give an image's pixels where it was never asked for them: from its files, if its facts tell their layout."""
        layout = pixel_layout(vars(image).get("_xf_facts", {}), vars(image))
        path = None if layout is None else _raw_path(image)
        if layout is None or path is None:
            raise NotRecorded(
                f"nothing in the capture tells the layout of the pixels of {vars(image).get('metadata_path')}: it "
                "was never asked for them, and states no pixel type that goes with the size of its file"
            )
        import numpy as np

        return np.memmap(path, np.dtype(layout[0]), "r+", 0, layout[1])

    # --- endings and files ------------------------------------------------------------------------------------------

    def _end(
        self, name: str, arguments: Mapping[str, Any], encoded: Mapping[str, Any], found: RecordedCall | None
    ) -> None:
        if found is not None and found.raised is not None and found.raised.get("class") != "SystemExit":
            raise self._exception(found.raised)
        self.ending = _ENDINGS[name]
        if self.ending == FINISHED:
            self.outputs = encoded.get("outputs")
            if encoded.get("units") is not None:
                self.units = encoded["units"]
            self.local.directory.remove()
            return
        message = next(iter(arguments.values()), None)
        self.message = None if message is None else str(message)
        raise SystemExit(1 if self.ending == ERROR else 0)

    def _store(self, function: str, arguments: Mapping[str, Any]) -> None:
        """Keep what a call stores, under the names that it has on a server."""
        if not function.startswith("upload"):
            return
        values = list(arguments.values())
        virtualpath = arguments.get("virtualpath")
        for value in values:
            if isinstance(value, RecordedObject):
                facts = vars(value).get("_xf_facts", {})
                layout = pixel_layout(facts, vars(value))
                for path in image_files(value):
                    self._keep(path, path.name)
                if layout is not None and (raw := _raw_path(value)) is not None:
                    self.images[raw.name] = {"dtype": layout[0], "shape": list(layout[1])}
            elif is_path(value) or (isinstance(value, str) and value is not virtualpath and Path(value).is_file()):
                self._keep(Path(value), f"userdata/{virtualpath}" if virtualpath else Path(value).name)

    def _keep(self, path: Path, name: str) -> None:
        if not path.is_file():
            raise NotRecorded(f"{path} is to be stored, but there is no such file")
        target = self.folder / "stored" / f"{len(self.stored)}-{path.name}"
        shutil.copyfile(path, target)
        self.stored[name] = target

    def _check_files(self, found: RecordedCall, arguments: Mapping[str, Any]) -> None:
        """Say where an answer is that of a file with another content."""
        if found.function.startswith(("upload", "create_")):
            return
        for key, item in found.args.items():
            file = item.get("file") if isinstance(item, dict) and item.get("$") == "path" else None
            path = Path(arguments[key]) if isinstance(file, Mapping) and key in arguments else None
            if path is not None and isinstance(file, Mapping) and not holds(path, file):
                self.note(f"{found.name} was given {path.name} with another content; its answer is the captured one")

    def _write(self, found: RecordedCall, args: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        """Write the files that the captured call wrote."""
        own = {
            item.get("name"): Path(arguments[key])
            for key, item in found.args.items()
            if isinstance(item, dict) and item.get("$") == "path" and key in arguments
        }
        fresh = [
            arguments[key]
            for key, item in found.args.items()
            if isinstance(item, dict) and item.get("$") == "array" and args.get(key) != item and key in arguments
        ]
        owner = self._objects.get(found.owner) if found.owner is not None else None
        for encoded in found.wrote:
            target = own.get(encoded.get("name"))
            if target is None and owner is not None and owner._xf_class == documented.IMAGE:  # noqa: SLF001  the player's
                target = _beside(owner, encoded)
                if target is not None and target.suffix != ".omni" and _save_pixels(owner, target):
                    continue
            target = target or self.places.path(encoded)
            if fresh and target.suffix != ".omni":
                fresh[0].tofile(target)
            else:
                self.places.materialised(encoded, target, is_written=True)

    # --- values -----------------------------------------------------------------------------------------------------

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
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
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
            "exception": self._exception,
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
        path = self.places.materialised(encoded) if self._lays_files else self.places.path(encoded)
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
            return RecordedContext(self, name, number)
        instance = None if is_new else self._objects.get(number)
        if instance is None:
            instance = self._new(str(encoded.get("class")), number)
        self._adopt(instance, encoded)
        return instance

    def _adopt(self, instance: RecordedObject, encoded: Mapping[str, Any]) -> None:
        number = int(encoded.get("id", 0))
        vars(instance)["_xf_id"] = number
        self._objects[number] = instance
        state = encoded.get("state")
        if isinstance(state, dict):
            self._set_state(instance, state)

    def _set_state(self, instance: RecordedObject, state: Mapping[str, Any]) -> None:
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
            data["path"] = self.local.directory.path

    def _facts(self, name: str, encoded: Any) -> dict[str, Any]:
        facts = {key: self.decode(value) for key, value in encoded.items() if key not in ("files", "calibrations")}
        if name == "$image":
            facts["calibrations"] = encoded.get("calibrations")
            facts["files"] = [self.decode(item) for item in encoded.get("files", ())]
        return facts

    def _is_working_directory(self, instance: RecordedObject) -> bool:
        return instance._xf_class == documented.WORKING_DIRECTORY  # noqa: SLF001  the objects are the player's

    def _update(self, owner: RecordedObject | None, found: RecordedCall) -> None:
        if owner is not None and found.after is not None and vars(owner).get("_xf_id") == found.owner:
            kept = {key: value for key, value in found.after.items() if not key.startswith("$")}
            if owner._xf_class == documented.IMAGE:  # noqa: SLF001  the player's
                # Its files are the script's own; what the call wrote has been written.
                kept = {key: value for key, value in kept.items() if not _is_path(value)}
            self._set_state(owner, kept)

    def _exception(self, encoded: Mapping[str, Any]) -> BaseException:
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

    def _new(self, class_name: str, number: int) -> RecordedObject:
        cls = self.class_of(class_name)
        instance: RecordedObject = cls.__new__(cls)
        vars(instance)["_xf_id"] = number
        self._objects[number] = instance
        return instance

    def class_of(self, name: str) -> Any:
        """Give the class of captured objects of a name, made once."""
        if name not in self.classes:
            self.classes[name] = make_class(self, name, self.manifest.classes.get(name, {}))
        return self.classes[name]

    def _calibration(self, facts: Mapping[str, Any]) -> RecordedObject:
        calibration = self._new(documented.CALIBRATION, self._next_number())
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

    # --- calls ------------------------------------------------------------------------------------------------------

    def _bound(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        signature = self._signature(name)
        if signature is None:
            return {**({"*": list(args)} if args else {}), **kwargs}
        return dict(signature.bind(*args, **kwargs).arguments)

    def _signature(self, name: str) -> Signature | None:
        listed = self.manifest.signatures.get(name)
        if not isinstance(listed, list):
            return documented.signature_of(name)
        parameters = []
        for item in listed:
            default = self.decode(item["default"]) if "default" in item else Parameter.empty
            parameters.append(Parameter(str(item["name"]), getattr(Parameter, str(item["kind"])), default=default))
        return Signature(parameters)

    def _with_default_args(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        listed = self.manifest.signatures.get(name)
        if not isinstance(listed, list):
            return dict(args)
        defaults = {item["name"]: item["default"] for item in listed if "default" in item}
        ordered = [item["name"] for item in listed if item["name"] in args or item["name"] in defaults]
        return {**{key: args.get(key, defaults.get(key)) for key in ordered}, **args}

    def _with_defaults(self, call: RecordedCall) -> RecordedCall:
        return evolve(call, args=self._with_default_args(call.name, call.args))

    def _recorded_name(self, found: RecordedCall | None) -> str | None:
        result = None if found is None else found.result
        if not isinstance(result, dict) or result.get("$") != "path":
            return None
        return str(result.get("name"))

    def _working_folder(self) -> int | None:
        for call in self.recorded:
            if call.name != documented.JOB or not isinstance(call.result, dict):
                continue
            directory = (call.result.get("state") or {}).get("working_dir")
            if isinstance(directory, dict):
                path = directory if directory.get("$") == "path" else (directory.get("state") or {}).get("path")
                if isinstance(path, dict) and isinstance(path.get("folder"), int):
                    return int(path["folder"])
        made = (call.result for call in self.recorded if call.function in ("create_temp_path", "create_related_path"))
        found = next((item for item in made if isinstance(item, dict) and isinstance(item.get("folder"), int)), None)
        return None if found is None else int(found["folder"])

    def _next_number(self) -> int:
        self._own_numbers -= 1
        return self._own_numbers


def image_files(image: Any) -> list[Path]:
    """List the files of an image: its metadata file, and those that go by its name."""
    path = Path(image.metadata_path)
    found = [path] if path.is_file() else []
    if path.parent.is_dir():
        found += sorted(item for item in path.parent.iterdir() if item.stem == path.stem and item != path)
    named = vars(image).get("additional_pixels_filenames") or ()
    found += [path.parent / name for name in named if os.path.basename(name) == name and (path.parent / name).is_file()]  # noqa: PTH119  a bare name
    return list(dict.fromkeys(found))


def pixel_layout(facts: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    """Give pixel type and shape ``(z, y, x)`` of an image's raw file, or ``None`` where its facts do not tell them."""
    import numpy as np

    told = {**facts, **{key: value for key, value in data.items() if not key.startswith("_")}}
    size = told.get("size_3d_tuple")
    if not isinstance(size, tuple | list) or not all(isinstance(n, int) and n > 0 for n in size):
        return None
    shape = tuple(reversed([int(n) for n in size]))
    for name in ("pixel_type", "dtype", "data_type", "pixels_dtype"):
        try:
            return str(np.dtype(told[name]).str), shape
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _raw_path(image: RecordedObject) -> Path | None:
    files = [path for path in image_files(image) if path.suffix == ".raw"]
    return files[0] if len(files) == 1 else None


def _beside(image: RecordedObject, encoded: Mapping[str, Any]) -> Path | None:
    """Give the file of an image that is what a recorded file was to its image."""
    main = vars(image).get("metadata_path")
    if main is None:
        return None
    path, name = Path(main), Path(str(encoded.get("name")))
    return path if name.suffix == path.suffix else path.with_suffix(name.suffix)


def _save_pixels(image: RecordedObject, target: Path) -> bool:
    """Save the pixels that a script assigned to an image or wrote into its array; return whether there are any."""
    data = vars(image)
    assigned = [value for name, value in data.items() if hasattr(value, "tofile") and not name.startswith("_")]
    pixels = assigned[0] if assigned else data.get("_xf_pixels")
    if pixels is None:
        return target.exists()
    if str(getattr(pixels, "filename", "")) == str(target):
        pixels.flush()
    else:
        pixels.tofile(target)
    return True


def _remember_pixels(owner: RecordedObject, value: Any) -> None:
    """Remember an array that an image gave: a script may write into it what the image is to save."""
    if owner._xf_class == documented.IMAGE and hasattr(value, "tofile") and value.flags.writeable:  # noqa: SLF001  the player's
        vars(owner)["_xf_pixels"] = value


def _fields(value: tuple[Any, ...]) -> dict[str, Any]:
    fields = getattr(value, "_fields", None)
    return {"class": type(value).__name__, "fields": list(fields)} if fields else {}


def _is_path(encoded: Any) -> bool:
    return isinstance(encoded, dict) and encoded.get("$") == "path"


def _listed(owner: RecordedObject) -> str:
    return ", ".join(sorted(name for name in vars(owner) if not name.startswith("_"))) or "nothing"


_NOTHING = object()
_DEEPEST = 24
_NOT_ATTRIBUTES = ("files", "calibrations")
_ENDINGS = {
    "XFWorkerJob.finish": FINISHED,
    "XFWorkerJob.error": ERROR,
    "XFWorkerJob.switch_to_interactive_mode": HANDED_OVER,
}
