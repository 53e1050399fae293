"""Properties that are worked out once."""

import threading

from guided.grammars.once import once


class _Thing:
    def __init__(self) -> None:
        self.made = 0
        self.gate: threading.Barrier | None = None

    @once
    def value(self) -> object:
        """What it is."""
        self.made += 1
        if self.gate is not None:
            self.gate.wait(10)
        return object()


def test_it_is_worked_out_when_first_asked_for_and_kept():
    thing, other = _Thing(), _Thing()
    assert thing.made == 0
    assert thing.value is thing.value
    assert (thing.made, other.made) == (1, 0)
    assert other.value is not thing.value
    assert _Thing.value.__doc__ == "What it is."


def test_no_thread_waits_for_another_and_all_get_the_same():
    thing = _Thing()
    # Both have to be in the middle of it for either to get on.
    thing.gate = threading.Barrier(2)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(thing.value)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert thing.made == 2
    assert len(found) == 2
    assert found[0] is found[1] is thing.value
