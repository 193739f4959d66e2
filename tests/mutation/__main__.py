"""
Breaks the code in every small way, one at a time, and says which breaks no test notices.

``python -m tests.mutation PATH... [--tests PATH...] [--write docs/trust.md]``, where a path is a file or a folder of
them. The score of a file is the part of its mutants that a test notices. Exits with 1 where a score is below 0.9, a
mutant that nobody noticed is not explained in ``tests/mutation/explained.toml``, or one is explained that is noticed,
and with 2 where a run was not complete, so that no score is taken for more than it is. On Linux and macOS.
"""

import argparse
import ast
import hashlib
import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.fresh import IN_MEMORY, SameExamples
from tests.mutation.mutants import mutants
from tests.mutation.running import KILLED, MutationRun
from tests.trust_figures import table, write

FLOOR = 0.9
SCORES = Path("tests/mutation/scores.json")
"""What each file reached, and in which form; a part of the repository, so that the table can grow on any computer."""
EXPLAINED = Path("tests/mutation/explained.toml")
_SLOW = {"access_matrix", "flow_properties", "image_routes"}
_OF_SERVING = {"database_file", "openapi", "secret_file", "serve_options", "wire_messages"}
_PLATFORM = tuple(
    str(path)
    for path in sorted(Path("tests/unit/platform").glob("test_*.py"))
    if path.stem.removeprefix("test_") not in _SLOW | _OF_SERVING
)
_OF_SCRIPTS = (
    "tests/unit/facade",
    "tests/unit/platform/test_spawned_runs.py",
    "tests/contract/test_facade_memory.py",
)
_OF_WORKERS = (
    *(f"tests/unit/test_{name}.py" for name in ("logs_of_jobs", "worker_in_trouble", "worker_loop")),
    "tests/integration/test_job_executor.py",
)
_OF_PACKAGES = ("tests/unit/packages", "tests/unit/bundle")


def _of_platform(*names):
    return tuple(f"tests/unit/platform/test_{name}.py" for name in names)


_MEMORY = "tests/contract/test_memory_platform.py"
_RULES = ("tests/unit/domain", _MEMORY, *_PLATFORM, *_of_platform("flow_properties", "wire_messages"))
_OF_QUEUE = (
    _MEMORY,
    *_of_platform(
        "access", "claims", "ends_of_attempts", "lease_clocks", "lost_leases", "ownership", "publications",
        "registrations", "resources", "restarts_aborts_and_leases", "workflow_flow",
    ),
)  # fmt: skip
_OF_FLOW = (
    _MEMORY,
    *_of_platform(
        "flow_properties", "given_inputs", "restarts_aborts_and_leases", "spawned_runs", "what_follows",
        "workflow_control", "workflow_flow", "workflow_restarts",
    ),
)  # fmt: skip
_OF_RIGHTS = (
    _MEMORY,
    *_of_platform("access", "file_rights", "look_alikes", "ownership", "rights_matrix", "tokens_and_sessions"),
)
_OF_ACCOUNTS = _of_platform(
    "account_rights", "accounts", "login_throttle", "many_logins", "password_rules", "second_factor_sign_ins",
    "second_factors", "sessions", "sign_ins", "tokens_and_sessions",
)  # fmt: skip
_OF_ARCHIVES = ("tests/unit/bundle", "tests/unit/capture")
_OF_READING_CAPTURES = ("tests/unit/capture/test_capture_rules.py", "tests/unit/capture/test_hostile_captures.py")
_OF_TRANSFERS = ("tests/unit/transfers", "tests/contract/test_facade_memory.py")


def _of_images(*names):
    return tuple(f"tests/unit/images/test_{name}.py" for name in names)


_OF_IMAGES = _of_images(
    "aim_old_versions", "boxes", "calibrations_in_scanco_files", "dask_arrays", "drawn_contours", "drawn_pictures",
    "files_of_other_images", "image_command", "image_tools", "images_as_a_whole", "images_at_their_edges", "isq_files",
    "lazy_pixels", "omni_images", "pictures_of_slices", "tiff_folders", "tiff_stacks", "values_at_their_edges",
)  # fmt: skip
_OF_PICTURES = _of_images("drawn_pictures", "image_tools", "images_at_their_edges", "pictures_of_slices")
_OF_VIEWING = _of_images("image_differences", "images_that_are_viewed", "pyramids", "viewed_images_at_their_edges")


def _of_domain(*names):
    return tuple(f"tests/unit/domain/test_{name}.py" for name in names)


_OF_IMAGE_RULES = _of_domain(
    "calibration_rules", "deidentified_images", "image_descriptions", "image_losses", "image_series", "length_units",
    "pixel_types", "pyramid_levels", "voxel_digests",
)  # fmt: skip
_OF_CONTOURS = (
    *_of_domain("polygons"),
    "tests/unit/images/test_drawn_contours.py",
    "tests/unit/images/test_gobj_contours.py",
)
_OF_OMNI = (*_of_domain("omni_documents"), "tests/unit/images/test_omni_images.py")
_OF_LOGS = (
    *_of_domain("processing_log"),
    "tests/unit/images/test_aim_golden_bytes.py",
    "tests/unit/images/test_calibrations_in_scanco_files.py",
)
_OF_DOMAIN = ("tests/unit/domain", "tests/unit/jobs")
_OF_SMALL_RULES = (
    *_of_domain("change", "conversion", "errors", "job_metadata", "new_records", "packages", "records"),
    *_of_domain("rules_at_their_edges"),
)
_SMALL_RULES = (
    "activity_log_level", "board", "bookkeeping", "conversion", "digests", "disk_space", "errors", "job", "job_logs",
    "job_metadata", "job_outcome", "json_value", "look_alikes", "package", "packages_needed", "queries", "record",
    "records", "result_references", "sampling", "script_exit",
)  # fmt: skip

TESTS_OF = {
    **{f"xfworker/domain/{name}.py": _OF_SMALL_RULES for name in _SMALL_RULES},
    "xfworker/domain/address.py": _of_domain("address"),
    "xfworker/domain/allocation.py": _of_domain("allocation"),
    "xfworker/domain/change.py": _of_domain("change", "records"),
    "xfworker/domain/connections.py": _of_domain("connections"),
    "xfworker/domain/digest_field.py": _of_domain("digest_field"),
    "xfworker/domain/files.py": _of_domain("files", "rules_at_their_edges"),
    "xfworker/domain/filenames.py": _of_domain("filenames"),
    "xfworker/domain/job_arguments.py": _of_domain("job_arguments", "rules_at_their_edges"),
    "xfworker/domain/job_inputs.py": _of_domain("typed_inputs", "interface", "rules_at_their_edges"),
    "xfworker/domain/job_state.py": _of_domain("job_state"),
    "xfworker/domain/one_time_codes.py": _of_domain("one_time_codes"),
    "xfworker/domain/package_schemas.py": _of_domain("package_schemas"),
    "xfworker/domain/parameter_shapes.py": _of_domain("parameter_shapes"),
    "xfworker/domain/schema_violations.py": _of_domain("package_schemas", "schema_rules"),
    "xfworker/domain/version.py": _of_domain("parameters"),
    "xfworker/domain/workflow_graph.py": (*_of_domain("scheduling", "workflow_graph"), *_OF_FLOW),
    "xfworker/domain/resources.py": (
        "tests/unit/domain/test_needs_and_offers.py",
        "tests/unit/platform/test_resources.py",
        "tests/unit/test_capacity.py",
    ),
    "xfworker/domain/scheduling.py": ("tests/unit/domain/test_scheduling.py", *_OF_FLOW),
    "xfworker/domain/sort_order.py": ("tests/unit/domain/test_sort_orders.py",),
    "xfworker/services/bundle": ("tests/unit/bundle", "tests/unit/capture/test_captures_as_bundles.py"),
    "xfworker/services/capture": tuple(
        f"tests/unit/capture/test_{name}.py"
        for name in (
            "calls_of_captures",
            "capture_rules",
            "captures_as_bundles",
            "edited_scripts",
            "hostile_captures",
            "matching",
            "testing_kit",
        )
    ),
    "xfworker/services/capture/reading.py": _OF_READING_CAPTURES,
    "xfworker/services/capture/stored.py": _OF_READING_CAPTURES,
    "xfworker/services/images": _OF_IMAGES,
    "xfworker/services/images/annotations.py": _OF_PICTURES,
    "xfworker/services/images/bricks.py": _OF_VIEWING,
    "xfworker/services/images/conversion.py": _of_images(
        "aim_round_trips",
        "files_of_other_images",
        "images_as_a_whole",
        "images_at_their_edges",
        "values_at_their_edges",
    ),
    "xfworker/services/images/downsampling.py": _of_images("image_tools", "images_at_their_edges"),
    "xfworker/services/images/image_difference.py": _OF_VIEWING,
    "xfworker/services/images/lettering.py": _OF_PICTURES,
    "xfworker/services/images/ownership.py": _of_images("files_of_other_images", "images_at_their_edges"),
    "xfworker/services/images/pictures.py": _OF_PICTURES,
    "xfworker/services/images/preparation.py": _of_images(
        "image_preparation", "pyramids", "viewed_images_at_their_edges"
    ),
    "xfworker/services/images/pyramid_building.py": _OF_VIEWING,
    "xfworker/services/images/registered_image.py": _of_images("registered_images", "viewed_images_at_their_edges"),
    "xfworker/services/images/viewed_image.py": _OF_VIEWING,
    "xfworker/services/images/viewing.py": _OF_VIEWING,
    "xfworker/services/images/virtual_ome_zarr.py": _OF_VIEWING,
    "xfworker/services/images/volume.py": _OF_VIEWING,
    "xfworker/services/platform/access.py": _OF_RIGHTS,
    "xfworker/services/platform/accounts.py": (*_OF_ACCOUNTS, *_of_platform("file_rights", "ownership")),
    "xfworker/services/platform/attempt_ends.py": _OF_QUEUE,
    "xfworker/services/platform/attempts.py": _OF_QUEUE,
    "xfworker/services/platform/control.py": _OF_FLOW,
    "xfworker/services/platform/downstream.py": _OF_FLOW,
    "xfworker/services/platform/file_rights.py": _of_platform(
        "access", "file_rights", "look_alikes", "ownership", "publications", "rights_matrix", "tokens_and_sessions"
    ),
    "xfworker/services/platform/flow.py": _OF_FLOW,
    "xfworker/services/platform/holding.py": _OF_FLOW,
    "xfworker/services/platform/idempotency.py": (_MEMORY, *_of_platform("file_rights", "repeated_requests")),
    "xfworker/services/platform/identity_check.py": _OF_ACCOUNTS,
    "xfworker/services/platform/lease_watch.py": _of_platform("lease_clocks"),
    "xfworker/services/platform/leases.py": (*_OF_QUEUE, *_of_platform("file_rights")),
    "xfworker/services/platform/login_throttle.py": _OF_ACCOUNTS,
    "xfworker/services/platform/options.py": _of_platform("small_rules"),
    "xfworker/services/platform/ownership.py": _OF_RIGHTS,
    "xfworker/services/platform/page_sessions.py": _OF_ACCOUNTS,
    "xfworker/services/platform/password_rules.py": _OF_ACCOUNTS,
    "xfworker/services/platform/principal.py": (*_OF_RIGHTS, *_OF_ACCOUNTS, *_of_platform("ends_of_attempts")),
    "xfworker/services/platform/publications.py": _of_platform("file_rights", "publications"),
    "xfworker/services/platform/queue.py": _OF_QUEUE,
    "xfworker/services/platform/registration.py": _OF_QUEUE,
    "xfworker/services/platform/restarts.py": _OF_FLOW,
    "xfworker/services/platform/second_factor_check.py": _of_platform("second_factor_sign_ins", "second_factors"),
    "xfworker/services/platform/second_factors.py": _of_platform("second_factor_sign_ins", "second_factors"),
    "xfworker/services/platform/sign_ins.py": _OF_ACCOUNTS,
    "xfworker/services/platform/signing_in.py": _OF_ACCOUNTS,
    "xfworker/services/platform/stopped_workflows.py": _OF_FLOW,
    "xfworker/services/platform/tokens.py": (*_OF_ACCOUNTS, *_of_platform("access", "file_rights")),
    "xfworker/domain": _OF_DOMAIN,
    "xfworker/domain/image": _OF_IMAGE_RULES,
    "xfworker/domain/image/contour.py": _OF_CONTOURS,
    "xfworker/domain/image/omni_document.py": _OF_OMNI,
    "xfworker/domain/image/polygon.py": _OF_CONTOURS,
    "xfworker/domain/image/processing_log.py": _OF_LOGS,
    "xfworker/services/platform": (_MEMORY, *_PLATFORM),
    "xfworker/services/comparison": ("tests/unit/comparison", "tests/unit/testing_kit/test_image_assertions.py"),
    "xfworker/services/comparison/outputs.py": ("tests/unit/comparison", "tests/unit/testing_kit"),
    "xfworker/services/event_log.py": ("tests/unit/test_event_log.py",),
    "xfworker/services/files_in_use.py": ("tests/unit/transfers/test_files_in_use.py",),
    "xfworker/services/jobs": ("tests/unit/jobs", "tests/unit/cli", "tests/contract/test_facade_memory.py"),
    "xfworker/services/packages": _OF_PACKAGES,
    "xfworker/services/pilots": ("tests/unit/batch",),
    "xfworker/services/retry_policy.py": ("tests/unit/test_retry_policy.py", "tests/unit/transfers"),
    "xfworker/services/script": _OF_SCRIPTS,
    "xfworker/services/script/inputs.py": ("tests/contract/test_facade_direct_access.py", *_OF_SCRIPTS),
    "xfworker/services/script/ipl_image.py": (
        "tests/contract/test_facade_memory.py",
        "tests/unit/images/test_calibrations_in_scanco_files.py",
        "tests/unit/images/test_images_as_a_whole.py",
    ),
    "xfworker/services/script/plain_json.py": ("tests/unit/test_plain_json.py", *_OF_SCRIPTS),
    "xfworker/services/sealed_archive.py": _OF_ARCHIVES,
    "xfworker/services/stop_signals.py": ("tests/unit/facade/test_scripts_at_their_edges.py",),
    "xfworker/services/transfers": _OF_TRANSFERS,
    "xfworker/services/worker": _OF_WORKERS,
    "xfworker/services/worker/capacity.py": ("tests/unit/test_capacity.py",),
    "xfworker/services/worker/kept_lease.py": ("tests/unit/test_kept_lease.py", "tests/unit/test_worker_in_trouble.py"),
    "xfworker/services/worker/outcome.py": ("tests/unit/test_outcome.py",),
    "xfworker/services/worker/script_environment.py": (
        "tests/unit/test_proxy_options.py",
        "tests/unit/test_script_environment.py",
    ),
}
"""The quick tests that concern each part, where none are named; the most exact path counts."""


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    arguments.add_argument("files", nargs="*", type=Path)
    arguments.add_argument("--tests", nargs="+", help="the tests to run; by default those that concern the file")
    arguments.add_argument("--jobs", type=int, default=2, help="how many mutants at once")
    arguments.add_argument("--survivors", action="store_true", help="try only what survived the last run of a file, if "
                           "that is as it was then; for when tests were added")  # fmt: skip
    arguments.add_argument("--write", type=Path, help="put the scores of all runs so far into this document")
    arguments.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        return _run(options.files, options.tests, options.jobs, _survivors() if options.survivors else {})
    worst = 0
    for tests, paths in _by_tests(options.files, options.tests).items():
        command = [sys.executable, "-m", "tests.mutation", *map(str, paths), "--one", "--jobs", str(options.jobs)]
        command += ["--survivors"] * options.survivors
        worst = max(worst, subprocess.run([*command, "--tests", *tests], check=False).returncode)
    if options.write:
        write(options.write, "make mutation", _figures())
    return worst


def _by_tests(named, tests):
    """Give the files by the tests that concern them, so that those are collected and traced once for all of these."""
    groups = {}
    for path in named:
        if not path.exists():
            raise SystemExit(f"there is no {path}")
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if mutants(ast.parse(file.read_text("utf-8"))):
                groups.setdefault(tuple(tests or _tests_of(file)), []).append(file)
    if not groups:
        raise SystemExit("there is nothing to change in these files")
    return groups


def _tests_of(path):
    for part, tests in sorted(TESTS_OF.items(), key=lambda item: -len(item[0])):
        if path.is_relative_to(part):
            return tests
    raise SystemExit(f"name the tests that concern {path}: --tests PATH")


def _run(paths, tests, jobs, survivors):
    judged = {}
    run = MutationRun(paths, tests, jobs, lambda path, tried: judged.update({path: _judged(path, tried)}), survivors)
    words = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", *IN_MEMORY]
    pytest.main([*words, *tests], plugins=[SameExamples(), run])
    left = [path for path in paths if path not in judged]
    if run.failure or left:
        sys.stdout.write(f"NOT COMPLETE: {', '.join(map(str, left))}: {run.failure or 'the tests were ended'}\n")
        return 2
    return max(judged.values())


def _judged(path, tried):
    """Say which mutants of a file nobody noticed, and keep its score."""
    survivors = [(mutant, why) for mutant, (verdict, why) in tried if verdict != KILLED]
    unexplained, unused = _without_reason(path, [mutant.key for mutant, _ in survivors])
    for number in unexplained:
        mutant, why = survivors[number]
        sys.stdout.write(f"SURVIVED: {path}, {mutant}{f' ({why})' if why else ''}\n")
    for function, was, becomes in unused:
        sys.stdout.write(f"EXPLAINED, BUT NOTICED: {path}, {function}: {was}  ->  {becomes}\n")
    killed = len(tried) - len(survivors)
    score = killed / len(tried)
    sys.stdout.write(f"{path}: {killed} of {len(tried)} mutants are noticed, {score:.3f}; "
                     f"{len(survivors) - len(unexplained)} explained, {len(unexplained)} open\n")  # fmt: skip
    sys.stdout.flush()
    figures = {"mutants": len(tried), "survivors": [mutant.key for mutant, _ in survivors], "source": _digest(path)}
    _keep({**_kept(), path.as_posix(): figures})
    return 1 if score < FLOOR or unexplained or unused else 0


def _without_reason(path, survivors):
    """Give the numbers of the survivors that are not explained, and the explanations that are of none."""
    reasons = Counter((item["function"], item["was"], item["becomes"]) for item in _explained(path))
    unexplained = []
    for number, survivor in enumerate(map(tuple, survivors)):
        # One reason is good for one of several that look alike.
        if reasons[survivor]:
            reasons[survivor] -= 1
        else:
            unexplained.append(number)
    return unexplained, list(reasons.elements())


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _explained(path):
    with EXPLAINED.open("rb") as file:
        return [item for item in tomllib.load(file).get("mutant", []) if item["file"] == path.as_posix()]


def _kept():
    return json.loads(SCORES.read_text("utf-8")) if SCORES.exists() else {}


def _keep(scores):
    # A line for each file, which is what changes.
    lines = (f"{json.dumps(file)}: {json.dumps(scores[file])}" for file in sorted(scores))
    SCORES.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _still_holds(item):
    """Say whether a score is of the file as it is, and leave out of it what is not changed any more."""
    path = Path(item["file"])
    if not path.exists() or item["source"] != _digest(path):
        return False
    now = Counter(mutant.key for mutant in mutants(ast.parse(path.read_text("utf-8"))))
    if not 0 < now.total() <= item["mutants"]:
        return False
    item["mutants"], item["survivors"] = now.total(), list((Counter(map(tuple, item["survivors"])) & now).elements())
    return True


def _results():
    return [item for item in ({"file": file, **figures} for file, figures in _kept().items()) if _still_holds(item)]


def _survivors():
    return {Path(item["file"]): set(map(tuple, item["survivors"])) for item in _results()}


def _figures():
    results = _results()
    rows = []
    for item in results:
        opened, _ = _without_reason(Path(item["file"]), item["survivors"])
        killed = item["mutants"] - len(item["survivors"])
        score, explained = f"{killed / item['mutants']:.3f}", len(item["survivors"]) - len(opened)
        rows.append([f"`{item['file']}`", item["mutants"], killed, score, explained, len(opened)])
    scores = table(["file", "mutants", "noticed", "score", "explained", "open"], rows)
    reasons = [
        [
            f"`{item['file']}`",
            f"`{item['function'] or 'the module'}`",
            f"`{item['was']}`",
            f"`{item['becomes']}`",
            item["why"],
        ]
        for result in results
        for item in _explained(Path(result["file"]))
    ]
    if not reasons:
        return scores
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in reasons]
    return f"{scores}\n\n{table(['file', 'function', 'was', 'becomes', 'why no test notices'], cells)}"


if __name__ == "__main__":
    sys.exit(main())
