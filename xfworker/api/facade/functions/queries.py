"""Questions that are more than one record: sequences of output values, and the combined query."""

from typing import Any, Dict, List, Tuple

from xfworker.api.facade.connection import Connection, server_of
from xfworker.api.facade.functions.record_access import checked_serial
from xfworker.api.facade.record_dict import record_dict
from xfworker.domain.errors import UsageError
from xfworker.domain.queries import CombinedQuery, OutputValue, Sequence, parse_sequence
from xfworker.services.script.sequences import floats_of, paired, present


def get_xf_parameter_sequence(conn: Connection, sequence: Dict[str, Any]) -> List[Any]:
    """
    Give the output values of a ``Sequence`` parameter.

    They are the values of the output ``key`` over the done jobs of the task, of runs that are not obsolete, in sort
    order. Jobs whose output is ``None`` are left out. However many there are, it is one question to the server.

    Args:
        conn: The connection.
        sequence: ``{"type": "Sequence", "task_serial": ..., "key": ...}``.

    Raises:
        InvalidParameter: It is not a sequence.
        RecordNotFound: There is no such task.
    """
    return [item.value for item in _values(conn, sequence)]


def get_xf_parameter_float_sequence(conn: Connection, sequence: Dict[str, Any]) -> List[float]:
    """
    Give the output values of a ``Sequence`` parameter as floats; see :func:`get_xf_parameter_sequence`.

    Raises:
        InvalidParameter: It is not a sequence, or a value is not a number; the message names the job.
    """
    return floats_of(_values(conn, sequence), _sequence(sequence).key)


def get_xf_parameter_paired_sequences(
    conn: Connection, sequence1: Dict[str, Any], sequence2: Dict[str, Any]
) -> Tuple[List[Any], List[Any]]:
    """
    Give the output values of two ``Sequence`` parameters, paired by run.

    Runs that lack one of both are left out. The order is that of the first sequence. Two outputs of one task are paired
    by job.

    Returns:
        Two lists of one length.

    Raises:
        InvalidParameter: One is not a sequence.
        RecordNotFound: There is no such task.
    """
    pairs = _pairs(conn, sequence1, sequence2)
    return [first.value for first, _ in pairs], [second.value for _, second in pairs]


def get_xf_parameter_paired_float_sequences(
    conn: Connection, sequence1: Dict[str, Any], sequence2: Dict[str, Any]
) -> Tuple[List[float], List[float]]:
    """
    Give the output values of two ``Sequence`` parameters as floats, paired by run.

    Runs that lack one of both are left out. The order is that of the first sequence. Two outputs of one task are paired
    by job.

    Returns:
        Two lists of one length.

    Raises:
        InvalidParameter: One is not a sequence, or a value of a pair is not a number; the message names the job.
    """
    pairs = _pairs(conn, sequence1, sequence2)
    first_key, second_key = _sequence(sequence1).key, _sequence(sequence2).key
    return floats_of([first for first, _ in pairs], first_key), floats_of([second for _, second in pairs], second_key)


def get_xf_combined_query(
    conn: Connection,
    project_serial: int = None,
    job_serial: int = None,
    task_type_serial: int = None,
    dependency_package_serial: int = None,
    task_types: str = None,
    dependency_packages: str = None,
    projects: str = None,
    workflows: str = None,
    tasks: str = None,
    jobs: str = None,
    workers: str = None,
) -> Dict[str, Any]:
    """
    Ask several questions in one request.

    Each of the last seven arguments asks for a part of the answer by a selector: ``"all"`` (all that the caller may
    see), serials with commas between (``"17,18"``), or ``"narrowed"``: what belongs to the given serials. Where serials
    are given but no part is asked for, every part that they narrow is answered.

    Args:
        conn: The connection.
        project_serial: Narrows to the project, its workflows, tasks and jobs.
        job_serial: Narrows to the job, its task, workflow and project, and its task type.
        task_type_serial: Narrows to the task type, and to tasks made from it.
        dependency_package_serial: Narrows to the dependency package.
        task_types: Selector.
        dependency_packages: Selector.
        projects: Selector.
        workflows: Selector.
        tasks: Selector.
        jobs: Selector.
        workers: Selector.

    Returns:
        A list of records for each part that was asked for.

    Raises:
        UsageError: Nothing was asked for, or a serial is malformed.
        InvalidParameter: A selector is malformed, or no serial is given that narrows a part.
        RecordNotFound: There is no record of a serial that narrows.
    """
    server = server_of(conn)
    serials = {
        "project_serial": project_serial,
        "job_serial": job_serial,
        "task_type_serial": task_type_serial,
        "dependency_package_serial": dependency_package_serial,
    }
    narrowing = {
        name: checked_serial(serial, f"get_xf_combined_query: {name}")
        for name, serial in serials.items()
        if serial is not None
    }
    selectors = {
        "task_types": task_types,
        "dependency_packages": dependency_packages,
        "projects": projects,
        "workflows": workflows,
        "tasks": tasks,
        "jobs": jobs,
        "workers": workers,
    }
    parts = {part: _selector(part, selector) for part, selector in selectors.items() if selector is not None}
    if not parts:
        parts = {part: "narrowed" for name in narrowing for part in _NARROWED_BY[name]}
    if not parts:
        raise UsageError(
            "get_xf_combined_query: nothing was asked for; name a serial, or parts such as jobs='all' "
            f"({', '.join(selectors)})"
        )
    records_of = server.combined_query(CombinedQuery(parts=parts, **narrowing))
    return {part: [record_dict(record) for record in records] for part, records in records_of.items()}


_LONGEST_SELECTOR = 20_000
_NARROWED_BY = {
    "project_serial": ("projects", "workflows", "tasks", "jobs"),
    "job_serial": ("projects", "workflows", "tasks", "jobs", "task_types"),
    "task_type_serial": ("task_types", "tasks"),
    "dependency_package_serial": ("dependency_packages",),
}


def _selector(part: str, selector: Any) -> str:
    if isinstance(selector, int) and not isinstance(selector, bool):
        return str(selector)
    if isinstance(selector, list | tuple):
        return ",".join(str(checked_serial(serial, f"get_xf_combined_query: {part}")) for serial in selector)
    if not isinstance(selector, str):
        raise UsageError(f"get_xf_combined_query: {part} takes 'all', 'narrowed' or serials, not {selector!r:.80}")
    if len(selector) > _LONGEST_SELECTOR:
        raise UsageError(f"get_xf_combined_query: {part} has {len(selector)} characters; ask for 'all' or 'narrowed'")
    return selector.strip()


def _sequence(parameter: Any) -> Sequence:
    if not isinstance(parameter, dict):
        raise UsageError(f"a sequence is a dict {{type: 'Sequence', task_serial, key}}, not {parameter!r:.80}")
    return parse_sequence(parameter)


def _pairs(conn: Any, sequence1: Any, sequence2: Any) -> "list[tuple[OutputValue, OutputValue]]":
    # Both are looked at before anything is asked.
    same_task = _sequence(sequence1).task_serial == _sequence(sequence2).task_serial
    return paired(_values(conn, sequence1), _values(conn, sequence2), same_task=same_task)


def _values(conn: Any, parameter: Any) -> "list[OutputValue]":
    return present(server_of(conn).output_values(_sequence(parameter)))
