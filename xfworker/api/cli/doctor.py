"""``xfworker doctor``: which module and limits scripts get; what is missing, orphaned or damaged in a server's data."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json

app = App(name="doctor", help_format="plaintext")

_MOST_FINDINGS = 200
_DEFAULT_DATA = Path("xfworker-data")


@app.default
def doctor(
    *,
    data: Path | None = None,
    database: str | None = None,
    files: str | None = None,
    deep: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """
    Say which xfworkerutil a script gets, and check a server's records against each other and against its files.

    It also says what would keep the scripts of a worker that is started like this command to their memory and cores.

    Nothing is changed, and the server may run. Without --data and --database a server's data are looked for in
    xfworker-data; where there are none, only the installation is looked at. Files that belong to nothing are only
    reported.

    Exit code 0: in order; 1: something is missing, damaged or contradictory.
    Example: `xfworker doctor --data labdata --deep`

    Args:
        data: The server's data folder.
        database: Address of the database; SQLite in the data folder by default.
        files: Folder of the files, or s3://bucket/prefix; by default what the settings choose ([files]), else
            data/files.
        deep: Read every file and compare its digest.
        as_json: Print one JSON document.
    """
    import attrs

    from xfworker.api.composition.files_location import files_location
    from xfworker.api.composition.installed_script_modules import describe_script_modules, installed_script_modules
    from xfworker.api.composition.platform import PlatformStorage, file_store, opened_records
    from xfworker.api.composition.script_limits import script_limits
    from xfworker.api.settings.file import load_settings
    from xfworker.domain.errors import UsageError
    from xfworker.services.platform.activity_retention import activity_state
    from xfworker.services.platform.checkup import FindingKind, check_up

    modules = installed_script_modules()
    messages().print(describe_script_modules(modules), soft_wrap=True)
    settings = load_settings().settings
    limits = script_limits(allowed=settings.worker.control_groups)
    messages().print(f"a worker's scripts are kept to their limits by {limits.description}", soft_wrap=True)
    report = {
        "script_modules": [{"path": str(item.path), "own": item.own} for item in modules],
        "scripts_kept_by": limits.description,
    }
    folder = _DEFAULT_DATA if data is None else data
    storage = PlatformStorage(data=folder.absolute(), database=database, files=files_location(files, settings))
    if database is None and not (storage.data / "records.sqlite").exists():
        if data is not None:
            raise UsageError(f"{data} holds no records of a server; name its data folder with --data")
        messages().print(f"{folder} holds no records of a server; name its data folder with --data to check them.")
        if as_json:
            print_json({**report, "findings": None})
        return 0
    records = opened_records(storage)
    try:
        findings = list(check_up(records, file_store(storage), deep=deep))
        activity = activity_state(records)
    finally:
        records.close()
    messages().print(str(activity))
    if as_json:
        print_json({**report, "findings": [{**attrs.asdict(item), "kind": item.kind.value} for item in findings]})
    else:
        for item in findings[:_MOST_FINDINGS]:
            messages().print(f"{item.kind.value}: {item.place}: {item.message}")
        counts = {kind: sum(item.kind is kind for item in findings) for kind in FindingKind}
        summary = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
        messages().print(summary or "everything is in order")
    return int(any(item.kind is not FindingKind.ORPHANED for item in findings))
