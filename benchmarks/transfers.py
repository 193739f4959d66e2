"""
Moving files, side by side in one run: ``python -m benchmarks.transfers [--quick] [--json]``.

Against the built-in server on loopback, by clients that each have a process of their own. Ours and a peer take turns
(:mod:`benchmarks.pairs`): each moves the same file once, between a server that is idle and a folder from which earlier
copies are gone. Deleting them, and the digests that the server computes later, are not counted to anybody.

A quick run ends within some two minutes on two idle cores: a pair whose outcome is clear after two turns, because each
ratio is beyond half as much again of its goal or below two thirds of it, is not run again, and no round begins once the
time for rounds is over. The table shows how many turns each figure comes from.

Ours is verified both ways. No peer verifies what it moves; the bare sink hashes what it gets, as our server does, but
nobody compares the digest. The goals are about time. CPU seconds of client and server together are shown beside them.
Memory is the client's peak, interpreter and all.
"""

import contextlib
import logging
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from attrs import define, evolve

from benchmarks.goals import Goal, benchmark_parser, conclude
from benchmarks.pairs import Turns, ratio_goal
from benchmarks.small_files import SmallFiles, small_files
from benchmarks.transfer_bench import MIB, OURS, SINK, WARM, Bench, Move, bench, missing
from benchmarks.transfer_clients import CLIENTS, transfer
from tests.integration.transfers.faulty_link import Fault, faulty_link
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.files import parse_resource

UP_GOAL = 0.9
DOWN_GOAL = 0.95
SMALL_GOALS = {"up": 1.0, "down": 0.8}
MEMORY_GOAL_MIB = 64.0
RESENT_GOAL_MIB = 16.0
SERVER_GOAL = 0.5
FEWEST_TURNS = 2
"""So many turns a figure of a quick run comes from at least."""
CLEARLY = 1.5
QUICK_SECONDS = 75.0
"""When no round of a quick run begins any more."""


@define
class Pair(Turns[Move]):
    """
    Our client and a peer.

    Attributes:
        peer: The peer.
        direction: ``up`` or ``down``.
        limit: The pace that ours is to reach.
        note: Why there are no figures.
    """

    peer: str
    direction: str
    limit: float = 1.0
    note: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether all turns agree, by far, on which side of the limit our pace is."""
        ratios = [theirs.seconds / ours.seconds / self.limit for ours, theirs in self.turns]
        return len(ratios) >= FEWEST_TURNS and (min(ratios) > CLEARLY or max(ratios) < 1 / CLEARLY)

    def run(self, prepared: Bench, *, ours_first: bool, file: str = "source") -> None:
        """Let both move a file; what fails is noted, and not run again."""
        order = (OURS, self.peer) if ours_first else (self.peer, OURS)
        prepared.touch_memory()
        moves: dict[str, Move] = {}
        for client in order:
            moved = prepared.move(client, self.direction, file=file)
            if isinstance(moved, str):
                self.note = f"{client} {moved}"
                return
            moves[client] = moved
        self.turns.append((moves[OURS], moves[self.peer]))


def side_by_side(prepared: Bench, rounds: int, peers: Sequence[str], *, quick: bool = False) -> list[Pair]:
    """
    Move the file by ours and each peer in turns; the first round, of a quick run with a smaller file, is not counted.

    Args:
        prepared: The servers and the file.
        rounds: How often each pair moves it.
        peers: Their names.
        quick: Whether to leave out what is clear, and what takes too long.
    """
    limits = {("up", SINK): UP_GOAL, ("down", "urllib3"): DOWN_GOAL}
    pairs = [
        Pair(peer, direction, limits.get((direction, peer), 1.0), note=missing(OURS) or missing(peer))
        for direction in ("up", "down")
        for peer in (SINK, *CLIENTS)
        if peer in peers and (direction == "up" if peer == SINK else transfer(peer, direction) is not None)
    ]
    # Raw urllib3 checks nothing and makes no requests beside, so it is not a peer of uploads; those have the sink.
    pairs = [pair for pair in pairs if (pair.peer, pair.direction) != ("urllib3", "up")]
    begun = time.perf_counter()
    for number in range(rounds + 1) if pairs else ():
        started = time.perf_counter()
        if quick and number > FEWEST_TURNS and started - begun > QUICK_SECONDS:
            break
        in_turn = [pair for pair in pairs if not pair.note and not (quick and pair.is_clear)]
        for place, pair in enumerate(in_turn):
            file = WARM if quick and not number else "source"
            pair.run(prepared, ours_first=(number + place) % 2 == 0, file=file)
        _progress(f"round {number} of {rounds}" if number else "first round", in_turn, started)
        if not number:
            for pair in pairs:
                pair.turns.clear()
    return pairs


def _progress(what: str, pairs: Iterable[Pair], started: float) -> None:
    latest = [(pair, *pair.turns[-1]) for pair in pairs if not pair.note]
    figures = (f"{pair.direction} {pair.peer} {theirs.seconds / ours.seconds:.2f}" for pair, ours, theirs in latest)
    _say(f"{what}, {time.perf_counter() - started:.0f} s: {', '.join(figures)}")


def sent_again(prepared: Bench) -> dict[str, float]:
    """Cut the link at three points each way; gives the MiB that passed it beyond the file's own."""
    size = prepared.source.stat().st_size
    figures = {}
    for share in (0.3, 0.6, 0.9):
        for direction in ("up", "down"):
            with faulty_link(prepared.token.url) as link:
                token = evolve(prepared.token, url=f"{link.url}/fss/v1")
                store = HttpFileStore()
                resource = parse_resource("userdata/source" if direction == "down" else "userdata/cut")
                if direction == "up":
                    link.faults.append(Fault(cut_up_after=int(size * share)))
                    store.upload(token, prepared.source, resource)
                    passed = link.up
                else:
                    link.faults.append(Fault(cut_down_after=int(size * share)))
                    store.download(token, resource, prepared.folder / "cut")
                    passed = link.down
                store.close()
            figures[f"{direction}, cut at {share:.0%}"] = (passed - size) / MIB
    return figures


def against_nginx(prepared: Bench, rounds: int) -> dict[str, float]:
    """Serve the file by nginx as well and let curl throw it away; gives MiB a second."""
    nginx, curl = shutil.which("nginx"), shutil.which("curl")
    if not nginx or not curl:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    root = prepared.folder
    config = root / "nginx.conf"
    temporary = "".join(
        f"{part}_temp_path {root}/{part};" for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; pid {root}/pid; error_log stderr; events {{}} http {{ access_log off; sendfile on; {temporary} "
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    user = ["-g", "user root;"] if sys.platform != "win32" and os.geteuid() == 0 else []
    process = subprocess.Popen(
        [nginx, "-p", str(root), "-c", str(config), *user], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    figures: dict[str, float] = {"built-in server": 0.0, "nginx": 0.0}
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.02)
        for _ in range(rounds):
            for name, url in (
                ("nginx", f"http://127.0.0.1:{port}/source"),
                ("built-in server", f"{prepared.token.url}/files/userdata/source"),
            ):
                command = [curl, "-sf", "-o", os.devnull, "-w", "%{speed_download}", url]
                done = subprocess.run(
                    [*command, "-H", f"Authorization: Bearer {prepared.token.token}"],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                figures[name] = max(figures[name], float(done.stdout) / MIB)
    finally:
        process.terminate()  # killed, it would leave its workers behind
        process.wait()
    return figures


def goals_of(
    pairs: Sequence[Pair], small: SmallFiles | None, again: dict[str, float], servers: dict[str, float] | None
) -> list[Goal]:
    goals = []
    for direction in ("up", "down"):
        held = [pair for pair in pairs if pair.direction == direction]
        for pair in held:
            name = f"{direction}: ours, verified, over {pair.peer}"
            goals.append(ratio_goal(name, pair.pace, pair.limit, reason=pair.note))
        if held:
            peak = max((ours.rss / MIB for pair in held for ours, _ in pair.turns), default=None)
            goals.append(Goal(f"{direction}: peak memory of the client", peak, MEMORY_GOAL_MIB, unit="MiB"))
    if small is not None:
        for direction, limit in SMALL_GOALS.items():
            name = f"{direction}: files of 64 KiB over raw urllib3 with as many threads"
            goals.append(ratio_goal(name, small.pace(direction), limit))
    if again:
        goals.append(Goal("sent again after a cut, at worst", max(again.values()), RESENT_GOAL_MIB, unit="MiB"))
    if servers is not None:
        served = servers["built-in server"] / servers["nginx"] if servers else None
        reason = "" if servers else "nginx or curl is not installed"
        goals.append(Goal("serving a file, over nginx", served, SERVER_GOAL, at_least=True, reason=reason))
    return goals


def main() -> int:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, help="how often each pair moves the file (5 at most when quick, else 9)")
    parser.add_argument(
        "--peers", help="only these, between commas, and 'small' for the small files; such a run is not kept"
    )
    options = parser.parse_args()
    if options.peers and options.json:
        parser.error("--peers leaves goals out, and --json keeps the run: choose one")
    peers = options.peers.split(",") if options.peers else [SINK, *CLIENTS[1:], "small"]
    size, rounds, count, small_rounds = (256 * MIB, 5, 200, 5) if options.quick else (384 * MIB, 9, 600, 9)
    rounds = options.rounds or rounds
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    small: SmallFiles | None = None
    again: dict[str, float] = {}
    servers: dict[str, float] | None = None
    with bench(size) as prepared:
        pairs = side_by_side(prepared, rounds, peers, quick=options.quick and options.rounds is None)
        if "small" in peers:
            _say(f"{count} files of 64 KiB")
            small = small_files(prepared, count=count, rounds=options.rounds or small_rounds)
        if not options.peers:
            _say("cut links")
            again = sent_again(prepared)
            _say("nginx")
            servers = against_nginx(prepared, rounds)
    if not options.json:
        _show(pairs, small, again, servers or {}, size)
    goals = goals_of(pairs, small, again, servers)
    return conclude("transfers", goals, options, _document(pairs, small, again, servers))


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _document(
    pairs: Sequence[Pair], small: SmallFiles | None, again: dict[str, float], servers: dict[str, float] | None
) -> dict[str, Any]:
    return {
        "transfers": [
            {
                "peer": pair.peer,
                "direction": pair.direction,
                "seconds": [(ours.seconds, theirs.seconds) for ours, theirs in pair.turns],
                "cpu_seconds": [(ours.cpu, theirs.cpu) for ours, theirs in pair.turns],
                "note": pair.note,
            }
            for pair in pairs
        ],
        "small_files_per_second": {} if small is None else small.per_second,
        "small_files_cpu_seconds": {} if small is None else small.cpu,
        "mib_sent_again": again,
        "serving_mib_per_second": servers,
    }


def _show(
    pairs: Sequence[Pair],
    small: SmallFiles | None,
    again: dict[str, float],
    servers: dict[str, float],
    size: int,
) -> None:
    for direction in ("up", "down"):
        _show_pairs([pair for pair in pairs if pair.direction == direction], f"{size // MIB} MiB {direction}", size)
    if small is not None:
        print("\nfiles of 64 KiB a second")
        for name, figures in small.per_second.items():
            print(f"  {name:28s} {statistics.median(figures):8.0f}")
        for direction in SMALL_GOALS:
            print(f"  {direction:4s} pace {small.pace(direction)}, CPU of urllib3 over ours {small.thrift(direction)}")
    for title, figures_of in (
        ("MiB sent again after a cut", again),
        ("serving the file to curl, MiB a second", servers),
    ):
        if figures_of:
            print(f"\n{title}")
        for name, figure in figures_of.items():
            print(f"  {name:28s} {figure:8.1f}")
    print()


def _show_pairs(pairs: Sequence[Pair], title: str, size: int) -> None:
    if pairs:
        print(f"\n{title}, ours verified and the peer not: medians, and quartiles of the ratios")
        heads = f"{'turns':>5s} {'ours':>11s} {'peer':>11s}   {'pace over peer':24s}"
        print(f"  {'peer':16s} {heads} CPU of peer over ours, with server")
    for pair in pairs:
        if pair.note:
            print(f"  {pair.peer:16s} not measured: {pair.note}")
            continue
        ours, theirs = (statistics.median(size / MIB / turn[side].seconds for turn in pair.turns) for side in (0, 1))
        rates = f"{ours:5.0f} MiB/s {theirs:5.0f} MiB/s"
        print(f"  {pair.peer:16s} {len(pair.turns):5d} {rates}   {pair.pace!s:24s} {pair.thrift}")


if __name__ == "__main__":
    sys.exit(main())
