"""The threads of the file storage service, apart from those of other requests: some read a file for minutes."""

from xfworker.adapters.web.request_threads import RequestThreads

in_file_thread = RequestThreads(32, "xfworker-fss").run
"""Does work that waits for a disk in a thread."""
