"""Plays a capture back: answers what a script asks of the documented modules, without any server."""

import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from xfworker.api.capture import documented
from xfworker.api.capture.coding import Coder
from xfworker.api.capture.errors import NotRecorded, not_recorded
from xfworker.api.capture.images import (
    NOTHING,
    ImageWork,
    beside,
    image_files,
    pixel_layout,
    raw_path,
    remember_pixels,
    save_pixels,
)
from xfworker.api.capture.local_work import SILENT, LocalWork, calibrated
from xfworker.api.capture.objects import RecordedObject, data_of
from xfworker.api.capture.signatures import Signatures
from xfworker.api.capture.values import Places, holds, is_path
from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.manifest import ERROR, FINISHED, HANDED_OVER, CaptureManifest
from xfworker.services.capture.matching import Matcher, as_template, substituted

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
    _read: dict[int, Any] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._lock = threading.RLock()
        for name in ("places", "stored", "temp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.places = Places(self.manifest, self.contents, self.folder / "places", self.note)
        self.coder = Coder(self.manifest, self.places, self, self.note)
        self.signatures = Signatures(self.manifest.signatures, self.coder.decode)
        self.recorded = [evolve(call, args=self.signatures.completed(call.name, call.args)) for call in self.recorded]
        self.matcher = Matcher(self.recorded)
        self.image_work = ImageWork(self.coder, self.matcher)
        self.local = LocalWork(self.folder / "temp")
        self.places.set_working(self.local.directory.path, self._working_folder())

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
            arguments = self.signatures.bound(name, args, kwargs)
            encoded = {key: self.coder.encode_argument(value) for key, value in arguments.items()}
            complete = self.signatures.completed(name, encoded)
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
            arguments = self.signatures.bound(name, args, kwargs)
            encoded = {key: self.coder.encode_argument(value) for key, value in arguments.items()}
            complete = self.signatures.completed(name, encoded)
            found = self.matcher.find(name, complete)
            self.played.append(PlayedCall(name, encoded, None if found is None else found.number))
            if found is not None and found.raised is not None:
                raise self.coder.exception(found.raised)
            if found is not None and isinstance(found.result, dict) and found.result.get("$") == "object":
                self.coder.adopt(instance, found.result)
                return
            if name == documented.JOB:
                raise not_recorded(name, complete, self.matcher.nearest(name, complete))
            vars(instance)["_xf_id"] = self.coder.next_number()
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
                    raise self.coder.exception(found.raised)
                if found.number not in self._read:
                    self._read[found.number] = self.coder.decode(found.result, name=found.name)
                    remember_pixels(owner, self._read[found.number])
                return self._read[found.number]
            facts = vars(owner).get("_xf_facts", {})
            if name in facts:
                return facts[name]
            if owner._xf_class == documented.IMAGE and name == "pixels":  # noqa: SLF001  as above
                return self.image_work.pixels(owner)
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
            return self.coder.decode(found.result)

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
            raise self.coder.exception(found.raised)
        result = substituted(found.result, found.args, args)
        is_derived = found.function.startswith("derive_")
        # An object that repeats what only this call was given is another one than the recorded one.
        is_another = is_derived or result != found.result
        self.coder.lays_files = not is_derived and not (owner is not None and vars(owner).get("_xf_derived"))
        try:
            given = self.coder.decode(result, name=found.name, is_new=is_another)
        finally:
            self.coder.lays_files = True
        if is_derived and isinstance(given, RecordedObject):
            self.image_work.derived(given, arguments, found.args)
        self._update(owner, found)
        if owner is not None:
            remember_pixels(owner, given)
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
            given = self.image_work.call(owner, last, arguments)
            if given is not NOTHING:
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
            made = self.coder.decode(as_template(model.result, model.args, args), is_new=True)
            if isinstance(made, RecordedObject):
                vars(made)["_xf_id"] = self.coder.next_number()
            return made
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

    # --- endings and files ------------------------------------------------------------------------------------------

    def _end(
        self, name: str, arguments: Mapping[str, Any], encoded: Mapping[str, Any], found: RecordedCall | None
    ) -> None:
        if found is not None and found.raised is not None and found.raised.get("class") != "SystemExit":
            raise self.coder.exception(found.raised)
        self.ending = _ENDINGS[name]
        if self.ending == FINISHED:
            self.outputs = self.coder.encode(data_of(arguments.get("outputs")))
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
                if layout is not None and (raw := raw_path(value)) is not None:
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
        owner = self.coder.objects.get(found.owner) if found.owner is not None else None
        for encoded in found.wrote:
            target = own.get(encoded.get("name"))
            if target is None and owner is not None and owner._xf_class == documented.IMAGE:  # noqa: SLF001  the player's
                target = beside(owner, encoded)
                if target is not None and target.suffix != ".omni" and save_pixels(owner, target):
                    continue
            target = target or self.places.path(encoded)
            if fresh and target.suffix != ".omni":
                fresh[0].tofile(target)
            else:
                self.places.materialised(encoded, target, is_written=True)

    def _update(self, owner: RecordedObject | None, found: RecordedCall) -> None:
        if owner is not None and found.after is not None and vars(owner).get("_xf_id") == found.owner:
            kept = {key: value for key, value in found.after.items() if not key.startswith("$")}
            if owner._xf_class == documented.IMAGE:  # noqa: SLF001  the player's
                # Its files are the script's own; what the call wrote has been written.
                kept = {key: value for key, value in kept.items() if not _is_path(value)}
            self.coder.set_state(owner, kept)

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


def _is_path(encoded: Any) -> bool:
    return isinstance(encoded, dict) and encoded.get("$") == "path"


def _listed(owner: RecordedObject) -> str:
    return ", ".join(sorted(name for name in vars(owner) if not name.startswith("_"))) or "nothing"


_ENDINGS = {
    "XFWorkerJob.finish": FINISHED,
    "XFWorkerJob.error": ERROR,
    "XFWorkerJob.switch_to_interactive_mode": HANDED_OVER,
}
