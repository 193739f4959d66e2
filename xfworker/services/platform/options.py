"""What an installation can choose about its platform."""

from enum import StrEnum
from typing import Any

from attrs import define, field

MOST_SPAWNED_JOBS = 10_000
"""How many jobs may be spawned behind one job by jobs that were spawned themselves, unless an installation says so."""


class SecondFactorFor(StrEnum):
    """Who has to have a second factor; everybody may."""

    NOBODY = "nobody"
    ADMINISTRATORS = "administrators"
    ALL = "all"


@define(frozen=True, kw_only=True)
class PlatformOptions:
    """
    What an installation can choose about its platform.

    Attributes:
        files_url: The file store's address in file tokens; one without a host is below the server's own address.
        file_token_seconds: How long a file token works.
        lease_seconds: How long a worker may be silent before its job is given to another.
        max_attempts: How often a job is handed out before lost workers make it fail.
        idempotency_key_seconds: How long an idempotency key is kept; it is given as ``wish_seconds``.
        worker_silent_seconds: How long after its last sign a worker still counts as there.
        activity_days: After how many days events of the activity log are deleted; ``None`` keeps them for ever.
        outputs_must_fit: Whether outputs that do not fit the task type's interface are refused; else the job is done
            all the same, with the violations under ``metadata.output_faults`` and a warning in the activity log.
        files_elsewhere: Whether scripts keep files in a store of their own settings, which this server does not serve;
            it then believes that the results are stored which outputs name.
        files_may_wait: Whether files are in a store that is reached over a network, which may not answer for long: then
            no transaction is open while it publishes one. On the database's own disk a lock costs less.
        most_spawned_jobs: How many jobs may be spawned behind one job by jobs that were spawned themselves.
        session_seconds: How long a session lasts, used or not.
        session_idle_seconds: After how long without a request a session ends.
        most_sessions: How many sessions an account has at once; one more ends the one that was unused for longest.
        second_factor_for: Who has to have a second factor to sign in.
        global_config: What scripts can read of the server's configuration, such as ``default_sns_server``.
    """

    files_url: str = "/fss/v1"
    file_token_seconds: float = 12 * 3600.0
    lease_seconds: float = 60.0
    max_attempts: int = 3
    # The argument's name was published before the attribute's.
    idempotency_key_seconds: float = field(default=24 * 3600.0, alias="wish_seconds")
    worker_silent_seconds: float = 300.0
    activity_days: int | None = None
    outputs_must_fit: bool = True
    files_elsewhere: bool = False
    files_may_wait: bool = False
    most_spawned_jobs: int = MOST_SPAWNED_JOBS
    session_seconds: float = 30 * 24 * 3600.0
    session_idle_seconds: float = 3 * 24 * 3600.0
    most_sessions: int = 50
    second_factor_for: SecondFactorFor = SecondFactorFor.NOBODY
    global_config: dict[str, Any] = field(factory=dict)
