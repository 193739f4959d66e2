"""Several items at once: where one fails, what is on its way ends at its next block and no other is begun."""

import threading
from contextlib import suppress

import pytest

from xfworker.domain.errors import TransferInterrupted
from xfworker.services.transfers.side_by_side import side_by_side


class Cancelled(Exception):
    pass


def test_results_are_in_the_order_of_the_items_whichever_ends_first():
    last_is_done = threading.Event()

    def work(item, _progress):
        if item == 3:
            last_is_done.set()
        assert last_is_done.wait(60)
        return item * 10

    assert side_by_side(work, [1, 2, 3], parallel=3) == [10, 20, 30]


def test_no_thread_holds_up_a_script_that_is_interrupted():
    assert side_by_side(lambda _item, _progress: threading.current_thread().daemon, [1, 2], parallel=2) == [True, True]


def test_after_a_failure_nothing_else_is_begun_even_where_an_item_was_done_all_the_same():
    begun, threads, second_has_begun = [], [], threading.Event()

    def work(item, progress):
        begun.append(item)
        threads.append(threading.current_thread())
        if item == 2:
            second_has_begun.set()
            # Ends well although it was stopped: its last block was there.
            with suppress(TransferInterrupted):
                while True:
                    progress(0, 1)

    def cancel(done, count):
        assert (done, count) == (1, 3)
        assert second_has_begun.wait(60)
        raise Cancelled

    with pytest.raises(Cancelled):
        side_by_side(work, [1, 2, 3], parallel=1, progress=cancel)
    threads[0].join(60)
    assert not threads[0].is_alive()
    assert begun == [1, 2]
