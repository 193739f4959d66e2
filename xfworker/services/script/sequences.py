"""What is made of the output values of a task's jobs."""

from collections.abc import Iterable, Sequence

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.parameter_shapes import formatted, is_number
from xfworker.domain.queries import OutputValue


def present(values: Iterable[OutputValue]) -> list[OutputValue]:
    """Leave out the values that are ``None``: these jobs say that there is none."""
    return [item for item in values if item.value is not None]


def floats_of(values: Iterable[OutputValue], key: str) -> list[float]:
    """
    Give the values as floats.

    Raises:
        InvalidParameter: One is not a number; the message names the job.
    """
    floats = []
    for item in values:
        if not is_number(item.value):
            raise InvalidParameter(
                f"output {key!r} of job {item.job_serial} is not a number but {formatted(item.value)}, so it cannot "
                "stand in a sequence of floats"
            )
        floats.append(float(item.value))
    return floats


def paired(
    first: Sequence[OutputValue], second: Sequence[OutputValue], *, same_task: bool = False
) -> list[tuple[OutputValue, OutputValue]]:
    """
    Pair the values of the same run, in the order of the first sequence.

    Where a run has several jobs of a task, their values are paired in their order; what is left over, and what belongs
    to no run, is left out.

    Args:
        first: The values of the first sequence.
        second: The values of the second sequence.
        same_task: Whether both are outputs of one task. Then the values of the same job belong together.
    """

    def group(item: OutputValue) -> int | None:
        return item.job_serial if same_task else item.run_serial

    waiting: dict[int | None, list[OutputValue]] = {}
    for item in reversed(second):
        waiting.setdefault(group(item), []).append(item)
    waiting.pop(None, None)
    pairs = []
    for item in first:
        partners = waiting.get(group(item))
        if partners:
            pairs.append((item, partners.pop()))
    return pairs
