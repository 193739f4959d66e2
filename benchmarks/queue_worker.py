"""Claims jobs and ends them until there is none: ``python -m benchmarks.queue_worker DATABASE DATA NAME THREADS``."""

import json
import sys
import threading
import time
from pathlib import Path

from xfworker.api.composition.platform import PlatformStorage, opened_platform
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import Worker
from xfworker.services.platform.principal import ADMIN

_ENDED = Outcome(ending=Ending.CRASHED, message="the script ended with exit code 1", exit_code=1)


def main() -> int:
    database, data, name, count = sys.argv[1:]
    claims: list[float] = []
    ended_at: list[float] = []
    with opened_platform(PlatformStorage(data=Path(data), database=database)) as platform:
        queue = platform.queue_for(ADMIN)
        worker = queue.register(Worker(name=name)).serial
        print("ready", flush=True)
        sys.stdin.readline()

        def work() -> None:
            while True:
                asked_at = time.monotonic()
                lease = queue.claim(worker, claim_key=f"{asked_at} {threading.get_ident()}")
                claims.append(time.monotonic() - asked_at)
                if lease is None:
                    return
                queue.end(lease, _ENDED)
                ended_at.append(time.monotonic())

        threads = [threading.Thread(target=work) for _ in range(int(count))]
        started_at, cpu = time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    document = {"first": started_at, "last": max(ended_at), "jobs": len(ended_at), "claims": sorted(claims)}
    print(json.dumps(document | {"cpu": time.process_time() - cpu}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
