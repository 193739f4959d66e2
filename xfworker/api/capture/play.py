"""
The process in which a script runs against a capture: ``python -m xfworker.api.capture.play FOLDER``.

``replay.json`` in the folder says what to run; ``result.json`` beside it is what came of it.
"""

import json
import os
import runpy
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from xfworker.api.capture.errors import NotRecorded
from xfworker.api.capture.modules import captured_modules
from xfworker.api.capture.player import Player
from xfworker.services.capture.inputs import with_inputs
from xfworker.services.capture.reading import OpenCapture
from xfworker.services.script.uncaught import script_frames

ORDER, RESULT, CONTENTS = "replay.json", "result.json", "contents"


def main(folder: Path) -> int:
    """Run the script that the folder's ``replay.json`` names; give the exit code of the process."""
    order = json.loads((folder / ORDER).read_text("utf-8"))
    with OpenCapture(Path(order["capture"])) as capture:
        calls = with_inputs(capture.calls(), order["inputs"])
        player = Player(capture.manifest, calls, folder, folder / CONTENTS)
    script = Path(order["script"])
    sys.modules.update(captured_modules(player))
    # The folder that Python put first is that of this program, not of the script.
    sys.path[0] = str(script.parent)
    sys.argv = [str(script)]
    process = os.getpid()
    try:
        return _run(script, player)
    finally:
        if os.getpid() == process:
            sys.stdout.flush()
            partial = folder / f".{RESULT}.part"
            partial.write_text(json.dumps(_result(player)), "utf-8")
            partial.replace(folder / RESULT)


def _run(script: Path, player: Player) -> int:
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ending:
        if isinstance(ending.code, str):
            sys.stderr.write(f"{ending.code}\n")
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except NotRecorded as error:
        frames = script_frames(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}: " if frames else ""
        sys.stderr.write(f"{where}{error}\n")
        player.uncaught(error)
        return 1
    except BaseException as error:  # noqa: BLE001  whatever a script raises is the script's end
        player.uncaught(error)
        error.__traceback__ = _script_part(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _script_part(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this module and of runpy, which lead to the script."""
    link = trace
    while link is not None and (
        link.tb_frame.f_code.co_filename == __file__ or "runpy" in link.tb_frame.f_code.co_filename
    ):
        link = link.tb_next
    return link or trace


def _result(player: Player) -> dict[str, Any]:
    return {
        "ending": player.ending or "no finish",
        "message": player.message,
        "outputs": player.outputs,
        "units": player.units,
        "files": {name: str(path) for name, path in player.stored.items()},
        "layouts": player.images,
        "new": [[call.name, call.args] for call in player.played if call.answered_by is None],
        "left_out": [call.number for call in player.matcher.unused],
        "calls": len(player.played),
        "notes": player.notes,
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
