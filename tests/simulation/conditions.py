"""The conditions of a seed: how large its laboratory is, how busy, and what goes wrong in it how often."""

from attrs import define

CHANCES = {
    "request lost": 0.02,
    "request late": 0.01,
    "request doubled": 0.03,
    "answer lost": 0.02,
    "server slow": 0.02,
    "upload slow": 0.1,
    "server dies before commit": 0.004,
    "server dies after commit": 0.004,
    "disk full": 0.01,
    "power cut": 0.02,
    "process killed": 0.003,
    "script crash": 0.03,
    "script lingers": 0.1,
    "script hands over": 0.01,
    "slow install": 0.05,
    "orphan": 0.5,
    "worker suspended": 0.03,
    "worker dies": 0.02,
    "worker dropped": 0.05,
    "worker partitioned": 0.02,
    "worker unanswered": 0.02,
    "one link partitioned": 0.05,
    "worker clock set": 0.02,
    "server suspended": 0.02,
    "server restarts": 0.02,
    "server clock set": 0.01,
    "person aborts": 0.1,
    "person restarts": 0.1,
    "job run by hand": 0.5,
}
"""What goes wrong, and how often in the mean where a seed has it at all."""


KINDS = "busy", "rough"
"""The kinds of laboratories."""


_NAMES = "own", "own", "alike", "copied"


@define(frozen=True, kw_only=True)
class Conditions:
    """
    What a seed's laboratory is like.

    Attributes:
        name: One of ``KINDS``.
        runs: How many runs a person starts.
        run_seconds: The longest pause between two of them.
        servers: How many server processes there are.
        workers: How many worker processes there are.
        concurrency: How many jobs each of them runs at once.
        work_seconds: How long each of the two steps of a script takes at most.
        lease_seconds: How long a lease holds.
        idle_seconds: How long a worker waits that got no job.
        look_seconds: How often a worker looks whether a script has to be ended.
        trouble_seconds: How often processes may be suspended, cut off and killed.
        whole_scripts: The part of the jobs whose scripts do all that scripts do; those of the others are short.
        names: How workers are called: each by a name of its own, all by one name, as on computers that were set up
            alike, or all by one name and as one instance, as on computers whose disks were copied.
        messages: Whether what is asked travels as messages between the real clients and routes, and servers and workers
            have versions that differ.
        files_on_disk: Whether the files are in a folder, on a disk that loses what was not flushed at a power cut.
        chances: How often which misfortune happens.
    """

    name: str
    runs: int
    run_seconds: float
    servers: int
    workers: int
    concurrency: int
    work_seconds: float
    lease_seconds: float
    idle_seconds: float
    look_seconds: float
    trouble_seconds: float
    whole_scripts: float
    names: str
    messages: bool
    files_on_disk: bool
    chances: dict[str, float]


def conditions_of(luck):
    """
    Give the conditions of a seed.

    Even seeds are rough: a few runs, in which much goes wrong. Odd ones are busy: hundreds of jobs, with something that
    goes wrong at most of them, so that the rare meets the crowded.
    """
    if luck.seed % 2:
        return Conditions(
            name="busy",
            runs=luck.choice("runs", [60, 80, 100]),
            run_seconds=luck.choice("run seconds", [5.0, 60.0]),
            servers=luck.choice("servers", [1, 2]),
            workers=luck.choice("workers", [2, 3, 4]),
            concurrency=4,
            work_seconds=luck.choice("work seconds", [2.0, 20.0, 60.0]),
            lease_seconds=luck.choice("lease seconds", [30.0, 60.0]),
            idle_seconds=20.0,
            look_seconds=5.0,
            trouble_seconds=60.0,
            whole_scripts=0.2,
            names=luck.choice("names", _NAMES),
            messages=luck.switched_on("messages", 0.15),
            files_on_disk=False,
            chances=_chances(luck, least=-2.0, most=0.0),
        )
    return Conditions(
        name="rough",
        runs=luck.choice("runs", [2, 4, 6]),
        run_seconds=200.0,
        servers=luck.choice("servers", [1, 1, 2]),
        workers=luck.choice("workers", [1, 2, 3]),
        concurrency=2,
        work_seconds=luck.choice("work seconds", [2.0, 20.0, 60.0]),
        lease_seconds=luck.choice("lease seconds", [12.0, 60.0]),
        idle_seconds=5.0,
        look_seconds=luck.choice("look seconds", [0.25, 1.0]),
        trouble_seconds=15.0,
        whole_scripts=1.0,
        names=luck.choice("names", _NAMES),
        messages=luck.switched_on("messages"),
        files_on_disk=luck.switched_on("files on disk"),
        chances=_chances(luck, least=-1.0, most=1.0),
    )


def _chances(luck, *, least, most):
    """
    Give the chances of a seed, some of which are 0, and others up to ten to ``most`` times the mean.

    In one seed of eight nearly all are 0: most of what happens there must then have gone as if nothing could go wrong.
    """
    part = 0.15 if luck.switched_on("quiet", 0.125) else 0.5
    return {
        what: chance * 10 ** (least + (most - least) * luck.number(f"level of {what}"))
        if luck.switched_on(what, part)
        else 0.0
        for what, chance in CHANCES.items()
    }
