"""
The File Storage Service over HTTP: ranges, direct-access paths, whole PUTs and resumable tus uploads.

:func:`~xfworker.adapters.web.fss.service.fss_handler` gives it as a Litestar route handler.
"""
