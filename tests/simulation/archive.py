"""Backups of the simulated laboratory and their way back, as ``xfworker backup`` and ``xfworker restore`` do it."""

import shutil
from datetime import UTC, datetime

from attrs import define

from tests.simulation.calendar import DAY
from xfworker.api.composition.backups import skipped_since
from xfworker.api.composition.kept_files import kept_files
from xfworker.api.composition.platform import PlatformStorage


@define
class _Backup:
    """
    What is in one: what the laboratory's records and files were, and what the simulation knew of them.

    Attributes:
        records: The records.
        known: What the ledger, and whoever waits for an answer, knew.
        folder: The files.
        names: Their names.
        at: When it was made.
    """

    records: object
    known: list[tuple[object, str, object]]
    folder: object
    names: list[str]
    at: float


@define
class Archive:
    """
    Where backups are kept.

    Attributes:
        last: The last backup that was made.
        restored: How often one was brought back.
    """

    world: object
    last: _Backup | None = None
    made: int = 0
    restored: int = 0

    def make(self):
        """Make a backup: the records are one snapshot, and the files come after it."""
        world = self.world
        self.made += 1
        folder = world.folder / f"backup-{self.made}"
        records, known = world.records.snapshot(), self._known()
        kept = self._kept_files()
        with world.nothing_goes_wrong():
            names = [name for name in list(kept.names()) if kept.copy_to(name, folder / name) is not None]
        if self.last is not None:
            shutil.rmtree(self.last.folder, ignore_errors=True)
        self.last = _Backup(records, known, folder, names, world.timeline.now)

    def restore(self):
        """
        Bring back the last backup while servers, workers and scripts go on.

        Neither lock versions nor serials of what was lost are given again, on the database of before or on a new one.
        """
        world, backup = self.world, self.last
        self.restored += 1
        world.luck.disturb(DAY)
        kept = self._kept_files()
        with world.nothing_goes_wrong():
            for name in backup.names:
                kept.put_back(backup.folder / name, name)
            kept.move_away(set(backup.names))
        world.files.restored(backup.names)
        made_at, now = (datetime.fromtimestamp(at, UTC) for at in (backup.at, world.timeline.now))
        world.records.bring_back(
            backup.records,
            keep_serials=world.luck.switched_on("restored on the same database"),
            skipped=skipped_since(made_at, now),
        )
        for owner, name, value in backup.known:
            setattr(owner, name, value.copy())

    def _kept_files(self):
        root = self.world.disk.root
        return kept_files(PlatformStorage(data=self.world.folder / "data", files=root))

    def _known(self):
        world, ledger = self.world, self.world.ledger
        of_world = "workflows", "acknowledged_runs", "spawned_by", "logged", "counted"
        of_ledger = "jobs", "claims", "claimed_at", "moved"
        known = [(world, name) for name in of_world] + [(ledger, name) for name in of_ledger]
        return [(owner, name, getattr(owner, name).copy()) for owner, name in known]
