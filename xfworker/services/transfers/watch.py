"""The former names of :mod:`xfworker.services.transfers.observed`, for code that uses them."""

from xfworker.services.transfers.observed import TransferProgress
from xfworker.services.transfers.observed import observed_transfers as watched_transfers

__all__ = ["TransferProgress", "watched_transfers"]
