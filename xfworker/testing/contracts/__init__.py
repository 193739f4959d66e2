"""
Suites of tests that prove an adapter: one class per port, to inherit in your own test file.

- :class:`~xfworker.testing.contracts.file_store.FileStoreContract`: where files lie.
- :class:`~xfworker.testing.contracts.filesystem.FilesystemContract`: the local disks.
- :class:`~xfworker.testing.contracts.xf_server.XFServerContract`: what scripts ask of a server.
- :class:`~xfworker.testing.contracts.job_queue.JobQueueContract`: what workers ask of a server.
- :class:`~xfworker.testing.contracts.workflow_control.WorkflowControlContract`: what people ask of a server.
- :class:`~xfworker.testing.contracts.record_store.RecordStoreContract`: where the built-in server keeps its records.
- :class:`~xfworker.testing.contracts.image_codec.ImageCodecContract`: an image format that is read; with
  :class:`~xfworker.testing.contracts.image_codec.WrittenImageCodecContract` where it is written too.
- :class:`~xfworker.testing.contracts.brick_store.BrickStoreContract`: copies of images for viewing.
- :class:`~xfworker.testing.contracts.job_runner.JobRunnerContract`: where scripts run; with
  :class:`~xfworker.testing.contracts.job_runner.ConcurrentJobRunnerContract` where ``start`` returns while they do.
- :class:`~xfworker.testing.contracts.sns_server.SnsServerContract`: catalogues of measurements.
- :class:`~xfworker.testing.contracts.token_signer.TokenSignerContract`: the server's tokens.
- :class:`~xfworker.testing.contracts.password_hasher.PasswordHasherContract`: the server's passwords.
- :class:`~xfworker.testing.contracts.known_passwords.KnownPasswordsContract`: passwords that nobody is to have.
- :class:`~xfworker.testing.contracts.clock.ClockContract`: time.

A suite's docstring names the fixtures to give. Every test is a promise that the rest of the package relies on; where
one does not hold for your adapter, the adapter is not finished.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in (
            "brick_store",
            "clock",
            "file_store",
            "filesystem",
            "image_codec",
            "job_queue",
            "job_runner",
            "known_passwords",
            "password_hasher",
            "record_store",
            "sns_server",
            "token_signer",
            "workflow_control",
            "xf_server",
        )
    )
)
