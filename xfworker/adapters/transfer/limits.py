"""How transfers are cut into pieces, and what that costs."""

from attrs import define

MIB = 1 << 20


@define(frozen=True, kw_only=True, eq=False, repr=False)
class TransferLimits:
    """
    How transfers are cut into pieces.

    Memory of one transfer, whatever the size of the file:

    - download: ``blocks x block_bytes``, and ``block_bytes`` for each further connection: 4 to 7 MiB by default;
    - upload: ``blocks x block_bytes`` (4 MiB by default); of a small file its size, at most ``single_put_bytes``.

    Several transfers at once take their sum.

    Attributes:
        block_bytes: How much is read and written at a time.
        blocks: How many blocks are on their way between network, disk and digest.
        single_put_bytes: Files up to this size are stored by one request; larger ones by tus.
        request_bytes: The most bytes of an upload that one request carries. The server has checked all before it.
        ranges_above_bytes: With so much or more missing, a download may use several connections.
        connections_per_file: How many at most. They are added one by one, as long as the network gains from it.
        journal_bytes: A download saves how far it is whenever so much has been written (and once a second).
        attempts: How often a transfer may break off without getting any further before it is given up.
        fsync: Whether a downloaded file must outlive a power cut as soon as it has its name.
    """

    block_bytes: int = MIB
    blocks: int = 4
    single_put_bytes: int = 4 * MIB
    request_bytes: int = 256 * MIB
    ranges_above_bytes: int = 64 * MIB
    connections_per_file: int = 4
    journal_bytes: int = 8 * MIB
    attempts: int = 5
    fsync: bool = False
