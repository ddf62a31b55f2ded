"""How endpoints stand before and after attempts: for the domain, and for the statement that settles them."""

from datetime import timedelta
from typing import NamedTuple

from service.domain.endpoints import DisabledReason
from service.domain.health import DISABLE_AFTER, Tried

NOW = timedelta()
GONE, FAILING, CUSTOMER = DisabledReason.GONE, DisabledReason.FAILING, DisabledReason.CUSTOMER


class Case(NamedTuple):
    """`before` and `after` are how long it has failed, None when it does not, with why it is disabled."""

    tried: Tried
    before: tuple[timedelta | None, DisabledReason | None]
    after: tuple[timedelta | None, DisabledReason | None]


SUCCESS, FAILURE, LEAVING, NOTHING = Tried(succeeded=True), Tried(failed=True), Tried(gone=True), Tried()
BOTH = Tried(succeeded=True, failed=True)
HOUR, LONG = timedelta(hours=1), DISABLE_AFTER + timedelta(hours=1)
NEARLY = DISABLE_AFTER - timedelta(hours=1)

CASES = {
    "well, a success": Case(SUCCESS, (None, None), (None, None)),
    "well, a failure": Case(FAILURE, (None, None), (NOW, None)),
    "well, a success among failures": Case(BOTH, (None, None), (None, None)),
    "well, by hand or by a fault of ours": Case(NOTHING, (None, None), (None, None)),
    "failing, a success": Case(SUCCESS, (HOUR, None), (None, None)),
    "failing, a failure": Case(FAILURE, (HOUR, None), (HOUR, None)),
    "failing, a success among failures": Case(BOTH, (HOUR, None), (None, None)),
    "failing, by hand or by a fault of ours": Case(NOTHING, (HOUR, None), (HOUR, None)),
    "nearly long enough": Case(FAILURE, (NEARLY, None), (NEARLY, None)),
    "long enough, a failure": Case(FAILURE, (LONG, None), (LONG, FAILING)),
    "long enough, a success": Case(SUCCESS, (LONG, None), (None, None)),
    "long enough, a success among failures": Case(BOTH, (LONG, None), (None, None)),
    "long enough, by hand or by a fault of ours": Case(NOTHING, (LONG, None), (LONG, None)),
    "well, gone": Case(LEAVING, (None, None), (NOW, GONE)),
    "failing, gone": Case(LEAVING, (HOUR, None), (HOUR, GONE)),
    "long enough, gone": Case(Tried(failed=True, gone=True), (LONG, None), (LONG, GONE)),
    "gone after a success": Case(Tried(succeeded=True, gone=True), (HOUR, None), (None, GONE)),
    "disabled, a success": Case(SUCCESS, (HOUR, CUSTOMER), (None, CUSTOMER)),
    "disabled, a failure": Case(FAILURE, (LONG, CUSTOMER), (LONG, CUSTOMER)),
    "disabled and well, a failure": Case(FAILURE, (None, CUSTOMER), (None, CUSTOMER)),
    "disabled, gone": Case(LEAVING, (HOUR, CUSTOMER), (HOUR, CUSTOMER)),
    "disabled for failing, gone": Case(LEAVING, (LONG, FAILING), (LONG, FAILING)),
}


class RestCase(NamedTuple):
    """`before` is how many rests came before and when the last ends; `shortest` and `longest` bound the one after."""

    before: tuple[int, timedelta] | None
    asked: timedelta
    rests: int
    shortest: timedelta
    longest: timedelta


SECOND, OVER = timedelta(seconds=1), timedelta(seconds=-1)
RESTS = {
    "the first": RestCase(None, NOW, 1, 0.25 * SECOND, 0.25 * SECOND),
    "the first, asked for": RestCase(None, 60 * SECOND, 1, 60 * SECOND, 60 * SECOND),
    "the first, asked for less": RestCase(None, 0.1 * SECOND, 1, 0.25 * SECOND, 0.25 * SECOND),
    "the second": RestCase((1, OVER), NOW, 2, 0.375 * SECOND, 0.625 * SECOND),
    "the third": RestCase((2, OVER), NOW, 3, 0.75 * SECOND, 1.25 * SECOND),
    "the seventh": RestCase((6, OVER), NOW, 7, 12 * SECOND, 20 * SECOND),
    "the longest": RestCase((8, OVER), NOW, 9, 22.5 * SECOND, 37.5 * SECOND),
    "after very many": RestCase((100, OVER), NOW, 100, 22.5 * SECOND, 37.5 * SECOND),
    "asked for more than that": RestCase((2, OVER), 60 * SECOND, 3, 60 * SECOND, 60 * SECOND),
    "while it rests": RestCase((3, 900 * SECOND), NOW, 3, 900 * SECOND, 900 * SECOND),
    "while it rests, asked for longer": RestCase((3, 20 * SECOND), 900 * SECOND, 3, 900 * SECOND, 900 * SECOND),
}
