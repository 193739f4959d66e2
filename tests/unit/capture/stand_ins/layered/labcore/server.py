"""Server calls: records are read-only mappings, a token is a frozen dataclass."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class View(Mapping):
    """A record that cannot be changed."""

    def __init__(self, data):
        self._data = data

    def __getitem__(self, key):
        value = self._data[key]
        return View(value) if isinstance(value, dict) else value

    def __iter__(self):
        return iter(self._data)

    def __len__(self):
        return len(self._data)


@dataclass(frozen=True)
class AuthorizationToken:
    bearer: str = field(repr=False)
    scopes: tuple


def get_xf_userdata_token(conn, scopes):
    return AuthorizationToken("tok-" + "7f3a9c" * 4, tuple(scopes))


def get_xf_jobs_by_task(conn, task_serial):
    for number in range(3):
        yield View({"nr": number, "results": {"volume": number * 1.5}})


def get_xf_parameter_float_sequence(conn, sequence):
    return [float(job["nr"]) for job in get_xf_jobs_by_task(conn, sequence["task_serial"])]
