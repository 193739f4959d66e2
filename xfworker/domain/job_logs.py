"""The names of a job's logs: that of its latest attempt, and those of the attempts before."""

LOG_FILENAME = "log.txt"


def earlier_log(attempt: int) -> str:
    """Give the name of the log of an attempt that another one followed."""
    return f"log-{attempt}.txt"
