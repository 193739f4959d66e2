"""``xfworker doctor``: what is missing, orphaned or damaged in a server's data."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json

app = App(name="doctor", help="Check a server's records against its files.", help_format="plaintext")

_MOST_FINDINGS = 200


@app.default
def doctor(
    *,
    data: Path = Path("xfworker-data"),
    database: str | None = None,
    files: Path | None = None,
    deep: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """
    Check a server's records against each other and against its files; nothing is changed. The server may run.

    Exit code 1 where something is missing, damaged or contradictory; files that belong to nothing are only reported.

    Args:
        data: The server's data folder.
        database: Address of the database; SQLite in the data folder by default.
        files: Folder of the files; by default the one that the settings choose ([files]), else data/files.
        deep: Read every file and compare its digest.
        as_json: Print one JSON document.
    """
    import attrs

    from xfworker.api.composition.files_folder import files_folder
    from xfworker.api.composition.platform import PlatformStorage, file_store, opened_records
    from xfworker.api.settings.file import load_settings
    from xfworker.domain.errors import UsageError
    from xfworker.services.platform.activity_retention import activity_state
    from xfworker.services.platform.checkup import FindingKind, check_up

    storage = PlatformStorage(
        data=data.absolute(), database=database, files=files_folder(files, load_settings().settings)
    )
    if database is None and not (storage.data / "records.sqlite").exists():
        raise UsageError(f"{data} holds no records of a server; name its data folder with --data")
    records = opened_records(storage)
    try:
        findings = list(check_up(records, file_store(storage), deep=deep))
        activity = activity_state(records)
    finally:
        records.close()
    messages().print(str(activity))
    if as_json:
        print_json({"findings": [{**attrs.asdict(item), "kind": item.kind.value} for item in findings]})
    else:
        for item in findings[:_MOST_FINDINGS]:
            messages().print(f"{item.kind.value}: {item.place}: {item.message}")
        counts = {kind: sum(item.kind is kind for item in findings) for kind in FindingKind}
        summary = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
        messages().print(summary or "everything is in order")
    return int(any(item.kind is not FindingKind.ORPHANED for item in findings))
