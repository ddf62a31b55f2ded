"""The first page: the last day of the organisation, and what fails now."""

from datetime import timedelta

from fastapi import Request, Response

from service.api.dependencies import StatisticsDep
from service.console.pages import go, page, pages
from service.console.plots import Bucket, plot
from service.console.shown import duration, share
from service.console.signing_in import ViewerDep
from service.domain.statistics import HourCounts

DAY = timedelta(hours=23)  # and the hour that has begun
MOST_FAILING = 20

router = pages()
routers = (router,)


@router.get("/overview", operation_id="console.overview")
async def show_overview(request: Request, viewer: ViewerDep, statistics: StatisticsDep) -> Response:
    """Show the overview; a customer's first page is the application."""
    if viewer.caller.app_id is not None:
        return go(f"/app/{viewer.caller.app_id}")
    hours = await statistics.hourly(lasting=DAY)
    waited = await statistics.oldest_due()
    failing, all_failing = await statistics.failing(most=MOST_FAILING)
    return page(
        request,
        "overview.html",
        plot=plot(buckets(hours)),
        totals=totals(hours),
        waited=None if waited is None else waited.total_seconds(),
        failing=failing,
        all_failing=all_failing,
    )


def buckets(hours: list[HourCounts]) -> list[Bucket]:
    """Hours as bars of a plot."""
    return [Bucket(at=hour.hour, good=hour.success, bad=hour.fail) for hour in hours]


def totals(hours: list[HourCounts]) -> dict[str, object]:
    """The sums of these hours."""
    good, bad = sum(hour.success for hour in hours), sum(hour.fail for hour in hours)
    took = sum(hour.milliseconds for hour in hours) / 1000
    return {
        "accepted": sum(hour.accepted for hour in hours),
        "good": good,
        "bad": bad,
        "share": share(good, good + bad),
        "latency": duration(took / (good + bad)) if good + bad else "-",
        "exhausted": sum(hour.exhausted for hour in hours),
    }
