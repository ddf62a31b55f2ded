"""The faults by their names, in the order in which they are tried, as far as this machine allows them."""

from collections.abc import Mapping

from tests.faults import clocks, families, moves, network, processes, receivers, restarts, storage, streams, targets
from tests.faults.site import Fault

FAULTS: Mapping[str, Fault] = {
    **processes.FAULTS,
    **storage.FAULTS,
    **network.FAULTS,
    **clocks.FAULTS,
    **receivers.FAULTS,
    **targets.FAULTS,
    **restarts.FAULTS,
    **streams.FAULTS,
    **families.FAULTS,
    **moves.FAULTS,
}
