"""Counts and times of requests, written as Prometheus reads them (text format 0.0.4)."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the time buckets, in seconds."""

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of the text format."""

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_OTHER = "other"
"""What anybody may choose has one label: a time series for each would be kept for ever."""


class RequestMetrics:
    """Counts requests by method, area and status, and their times by area. Safe to share between threads."""

    def __init__(self, areas: Collection[str] = ()) -> None:
        """Take the areas that are told apart: beginnings of paths, such as ``xf/v1/jobs``."""
        self._areas = areas
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        area = self._area(path)
        with self._lock:
            self._requests[(method if method in _METHODS else _OTHER, area, status)] += 1
            buckets = self._buckets.setdefault(area, [0] * (len(BOUNDS) + 1))
            buckets[bisect_left(BOUNDS, seconds)] += 1
            self._seconds[area] += seconds  # type: ignore[assignment]  # a Counter adds floats as well

    def _area(self, path: str) -> str:
        parts = [part for part in path.split("/", 5) if part][:3]
        beginnings = ("/".join(parts[:count]) for count in (3, 2, 1))
        return next((area for area in beginnings if area in self._areas), _OTHER)

    def render(self, gauges: Mapping[str, tuple[str, Mapping[str, float]]]) -> str:
        """
        Write all figures.

        Args:
            gauges: By name: what it is, and its value by the value of its one label (empty for none).
        """
        with self._lock:
            return "\n".join([*self._lines(), *_gauge_lines(gauges), ""])

    def _lines(self) -> Iterator[str]:
        yield "# HELP xfworker_requests_total Requests answered."
        yield "# TYPE xfworker_requests_total counter"
        for (method, area, status), number in sorted(self._requests.items()):
            labels = f'method="{_escaped(method)}",area="{_escaped(area)}",status="{status}"'
            yield f"xfworker_requests_total{{{labels}}} {number}"
        yield "# HELP xfworker_request_seconds Time to answer a request."
        yield "# TYPE xfworker_request_seconds histogram"
        for area, buckets in sorted(self._buckets.items()):
            label = f'area="{_escaped(area)}"'
            total = 0
            for bound, number in zip((*BOUNDS, "+Inf"), buckets, strict=True):
                total += number
                yield f'xfworker_request_seconds_bucket{{{label},le="{bound}"}} {total}'
            yield f"xfworker_request_seconds_sum{{{label}}} {float(self._seconds[area]):.6f}"
            yield f"xfworker_request_seconds_count{{{label}}} {total}"


def _gauge_lines(gauges: Mapping[str, tuple[str, Mapping[str, float]]]) -> Iterator[str]:
    for name, (help_text, values) in gauges.items():
        yield f"# HELP {name} {help_text}"
        yield f"# TYPE {name} gauge"
        for label, value in values.items():
            yield f"{name}{{{label}}} {value:g}" if label else f"{name} {value:g}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
