"""
What somebody who looks at the page waits for: ``python -m benchmarks.page [--quick] [--json]``.

A board of 1,000 runs by 30 tasks is painted and clicked on in headless Chromium over loopback, on this machine with all
that runs on it: wall times are medians of several loads with an empty cache. CPU times, which what else runs lengthens
less, are those of the server and of all of Chromium from the beginning of a load until the rows are in sight. Bytes are
what travels for each page, compressed as it is sent. The memory is the server process's own, before and after boards
were looked at.
"""

import contextlib
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

from benchmarks.board_data import fill_board
from benchmarks.goals import Goal, benchmark_parser, conclude
from xfworker.adapters.http.xf_server import BASE
from xfworker.api.composition.local_platform import LocalPlatform, local_platform
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskType

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
PAINT_GOAL = 1.0
CPU_GOAL = 1.0
CLICK_GOAL = 0.1
BYTES_GOAL = 100.0
MEMORY_GOAL = 50.0
PAGES = ("/", "/projects/1", "/workflows/1", "/workflows/1/new-run", "/workflows/1/charts", "/jobs/1", "/runs/1")

# The second frame after the click is the first that can show what it did.
_CLICK = """async (index) => {
  const cell = document.querySelectorAll('.cell span')[index];
  const begun = performance.now();
  cell.click();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  if (document.querySelector('#panel').hidden) throw new Error('the click opened nothing');
  return performance.now() - begun;
}"""
_ROWS = """() => new Promise((done) => {
  const paint = () => requestAnimationFrame(() => done(performance.now()));
  const look = () => document.querySelector('.row') ? paint() : setTimeout(look, 2);
  look();
})"""
_BYTES = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _chromium() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "chrom" in child.name()]


def _job_with_everything(platform: LocalPlatform) -> int:
    """Make a job whose page needs the viewer and the table; the files themselves do not count."""
    reference = {"source": "userdata", "virtualpath": ""}
    outputs: dict[str, dict[str, Any]] = {
        "image": {"type": "Image", **reference, "filename": "scan.aim", "size": [1, 1, 1]},
        "table": {"type": "CSV", **reference, "filename": "values.csv"},
    }
    declared = [{"key": key, "type": value["type"]} for key, value in outputs.items()]
    server = platform.server
    run = server.find(Run)[0]
    task_type = server.create(TaskType(name="Bench.Everything", interface={"outputs": declared}))
    task = server.create(Task(workflow_serial=run.workflow_serial, task_type_serial=task_type.serial, name="All"))
    job = Job(task_serial=task.serial, run_serial=run.serial, state=JobState.DONE, outputs=outputs)
    return platform.server.create(job).serial


def _measure(platform: LocalPlatform, browser: Any, loads: int) -> dict[str, Any]:
    server = psutil.Process(platform.embedded.pid)
    url = platform.embedded.endpoint.url

    def opened() -> Any:
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        page = context.new_page()
        link = platform.transport.request("POST", f"{BASE}/page-links", doing="make a link").json()["path"]
        page.goto(f"{url}{link}?next=/people")
        page.goto("about:blank")
        return page

    def go(page: Any, path: str) -> Any:
        page.goto(f"{url}{path}", wait_until="commit")
        return page

    go(opened(), "/workflows/1").close()
    before = server.memory_info().rss
    painted, shown, clicks, of_server, of_browser = [], [], [], [], []
    for _ in range(loads):
        page = opened()
        browsing = _chromium()
        begun = _cpu_seconds([server]), _cpu_seconds(browsing)
        go(page, "/workflows/1")
        shown.append(page.evaluate(_ROWS) / 1000)
        of_server.append(_cpu_seconds([server]) - begun[0])
        of_browser.append(_cpu_seconds(browsing) - begun[1])
        paint = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
        painted.append(page.evaluate(paint) / 1000)
        clicks += [page.evaluate(_CLICK, index) / 1000 for index in (3, 40, 90, 150)]
        page.context.close()
    weights = {}
    for path in (*PAGES, f"/jobs/{_job_with_everything(platform)}"):
        context = browser.new_context()
        page = context.new_page()
        link = platform.transport.request("POST", f"{BASE}/page-links", doing="make a link").json()["path"]
        page.goto(f"{url}{link}?next=/health")
        page.goto(f"{url}{path}")
        page.wait_for_timeout(1000)
        weights[path] = page.evaluate(_BYTES) / 1000
        context.close()
    after = server.memory_info().rss
    return {
        "first paint, s": statistics.median(painted),
        "rows in sight, s": statistics.median(shown),
        "CPU of the server, s": statistics.median(of_server),
        "CPU of the browser, s": statistics.median(of_browser),
        "click, s": statistics.median(clicks),
        "slowest click, s": max(clicks),
        "kB by page": weights,
        "memory before, MB": before / 1e6,
        "memory grown, MB": (after - before) / 1e6,
    }


def main() -> int:
    options = benchmark_parser(__doc__).parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    figures: dict[str, Any] = {}
    reason = "" if path else "Chromium is not installed"
    if path:
        from playwright.sync_api import sync_playwright

        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            fill_board(Path(folder, "data"), runs=200 if options.quick else 1000, tasks=30)
            with local_platform(Path(folder, "data")) as platform:
                browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
                figures = _measure(platform, browser, 3 if options.quick else 9)
                browser.close()
    heaviest = max(figures["kB by page"].values()) if figures else None
    used = figures["CPU of the server, s"] + figures["CPU of the browser, s"] if figures else None
    goals = [
        Goal("a board of 30 tasks is in sight", figures.get("rows in sight, s"), PAINT_GOAL, unit="s", reason=reason),
        Goal("the CPU time for it", used, CPU_GOAL, unit="s", reason=reason),
        Goal("a click on it shows its panel", figures.get("click, s"), CLICK_GOAL, unit="s", reason=reason),
        Goal("the heaviest page without volumes", heaviest, BYTES_GOAL, unit="kB", reason=reason),
        Goal("the server grows", figures.get("memory grown, MB"), MEMORY_GOAL, unit="MB", reason=reason),
    ]
    for name, figure in figures.items():
        print(f"{name}: {figure if isinstance(figure, dict) else f'{figure:.3g}'}", file=sys.stderr)
    return conclude("page", goals, options, figures)


if __name__ == "__main__":
    sys.exit(main())
