"""``xfworker workflow results``."""

import csv
import io
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from xfworker.adapters.transfer.partial_file import replacing
from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Job, Run, Task, Workflow
from xfworker.services.jobs.result_table import RUN_COLUMNS, ResultTable, result_table


def show_results(
    workflow: int,
    *,
    csv_format: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    out: Path | None = None,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Show the results of a workflow: a row per run with its sample, a column per output with its unit.

    Exit code 0: shown; 1: there is no such workflow. Example: `xfworker workflow results 3 --csv --out results.csv`

    Args:
        workflow: The workflow's serial.
        csv_format: Write a CSV table in place of a table for people.
        out: The file for the CSV table; standard output by default.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document with the columns and the rows.
    """
    if csv_format and as_json:
        raise UsageError("give one of --csv and --json")
    if out is not None and not csv_format:
        raise UsageError("--out is for --csv")
    with linked(server) as client:
        serial = client.server.get(Workflow, workflow).serial
        where = {"workflow_serial": serial}
        table = result_table(
            client.server.find(Run, where), client.server.find(Task, where), client.server.find(Job, where)
        )
    if as_json:
        print_json({"columns": list(table.columns), "rows": list(table.rows)})
    elif out is not None:
        with replacing(out) as partial:
            # Spreadsheets take a file without the mark for one in their own code page, and units have letters like µ.
            partial.write_bytes(written_csv(table).encode("utf-8-sig"))
        results().print(str(out))
    elif csv_format:
        sys.stdout.write(written_csv(table).replace("\r\n", "\n"))
    else:
        _print(table)
    return 0


def written_csv(table: ResultTable) -> str:
    """Write a table of results as CSV (RFC 4180)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([["" if value is None else value for value in row.values()] for row in table.rows])
    return text.getvalue()


def _print(table: ResultTable) -> None:
    """Print a block per run where a table would be too wide for people, and a line per run in a pipe."""
    if not table.rows:
        messages().print("there are no runs yet")
        return
    if not sys.stdout.isatty():
        print_table(table.columns, [[_formatted(value) for value in row.values()] for row in table.rows])
        return
    for row in table.rows:
        title = "jobs without a run" if row["run"] is None else f"run {row['run']}: {row['name'] or 'no name'}"
        known = f"{title} (sample {row['sample']}, {row['state']})" if row["sample"] else f"{title} ({row['state']})"
        values = [
            (name, _formatted(value)) for name, value in row.items() if name not in RUN_COLUMNS and value is not None
        ]
        print_table(("output", "value"), values, title=known)
        results().print("")


def _formatted(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
