"""Every page of the console, and who can open it. A new page is one more row here: `tests/console/test_places.py` fails
until it is there."""

from dataclasses import dataclass

from tests.browser.story import CUSTOMER, OPERATOR, STRANGER

EVERYBODY = (OPERATOR, CUSTOMER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page. `path` is below /console, with names of ids of the story in braces."""

    name: str
    path: str
    roles: tuple[str, ...] = (OPERATOR,)
    status: int = 200


PLACES = (
    Place(name="sign-in", path="/sign-in", roles=(STRANGER,)),
    Place(name="overview", path="/overview"),
    Place(name="applications", path="/apps"),
    Place(name="application-new", path="/apps/new"),
    Place(name="application", path="/app/{app}", roles=EVERYBODY),
    Place(name="application-long", path="/app/{long_app}"),
    Place(name="application-edit", path="/app/{app}/edit"),
    Place(name="application-delete", path="/app/{long_app}/delete"),
    Place(name="messages", path="/app/{app}/messages", roles=EVERYBODY),
    Place(name="messages-none", path="/app/{app}/messages?event_types=none.such"),
    Place(name="message", path="/app/{app}/msg/{message}", roles=EVERYBODY),
    Place(name="message-long", path="/app/{long_app}/msg/{long_message}"),
    Place(name="send", path="/app/{app}/send"),
    Place(name="send-example", path="/app/{long_app}/send?event_type=invoice.paid"),
    Place(name="event-types", path="/event-types", roles=EVERYBODY),
    Place(name="event-type-new", path="/event-types/new"),
    Place(name="event-type-import", path="/event-types/import"),
    Place(name="event-type", path="/event-type/invoice.paid", roles=EVERYBODY),
    Place(name="event-type-long", path="/event-type/{long_type}", roles=EVERYBODY),
    Place(name="event-type-edit", path="/event-type/{long_type}/edit"),
    Place(name="event-type-delete", path="/event-type/{long_type}/delete"),
    Place(name="search", path="/search?q=harbour"),
    Place(name="search-none", path="/search?q={long_type}", roles=EVERYBODY),
    Place(name="portal", path="/portal", roles=(STRANGER,)),
    Place(name="portal-link", path="/app/{app}/portal-link"),
    Place(name="live-choice", path="/live"),
    Place(name="live", path="/app/{app}/live", roles=EVERYBODY),
    Place(name="endpoint-new", path="/app/{app}/endpoints/new", roles=EVERYBODY),
    Place(name="endpoint", path="/app/{app}/endpoint/{flaky}", roles=EVERYBODY),
    Place(name="endpoint-failing", path="/app/{app}/endpoint/{broken}"),
    Place(name="endpoint-disabled", path="/app/{app}/endpoint/{gone}", roles=EVERYBODY),
    Place(name="endpoint-long", path="/app/{long_app}/endpoint/{long_endpoint}"),
    Place(name="endpoint-edit", path="/app/{app}/endpoint/{flaky}/edit", roles=EVERYBODY),
    Place(name="endpoint-delete", path="/app/{long_app}/endpoint/{long_endpoint}/delete"),
    Place(name="endpoint-secret", path="/app/{app}/endpoint/{flaky}/secret", roles=EVERYBODY),
    Place(name="endpoint-headers", path="/app/{app}/endpoint/{flaky}/headers", roles=EVERYBODY),
    Place(name="endpoint-example", path="/app/{app}/endpoint/{flaky}/example", roles=EVERYBODY),
    Place(name="endpoint-recover", path="/app/{app}/endpoint/{broken}/recover", roles=EVERYBODY),
    Place(name="endpoint-counted", path="/app/{app}/endpoint/{broken}/recover?since={yesterday}"),
    Place(name="endpoint-missing", path="/app/{app}/endpoint/{flaky}/replay-missing", roles=EVERYBODY),
    Place(name="endpoint-replay", path="/app/{app}/endpoint/{flaky}/bulk-replay", roles=EVERYBODY),
    Place(name="destinations", path="/app/{app}/destinations", roles=EVERYBODY),
    Place(name="destinations-none", path="/app/{long_app}/destinations"),
    Place(name="destination-type", path="/app/{app}/destinations/new", roles=EVERYBODY),
    Place(name="destination-new", path="/app/{app}/destinations/new?type=kafka", roles=EVERYBODY),
    Place(name="destination", path="/app/{app}/destination/{destination}", roles=EVERYBODY),
    Place(name="destination-edit", path="/app/{app}/destination/{destination}/edit", roles=EVERYBODY),
    Place(name="destination-secret", path="/app/{app}/destination/{destination}/secret", roles=EVERYBODY),
    Place(name="destination-delete", path="/app/{app}/destination/{destination}/delete", roles=EVERYBODY),
    Place(name="tasks", path="/tasks", roles=EVERYBODY),
    Place(name="tasks-of-application", path="/app/{app}/tasks"),
    Place(name="task", path="/tasks/{task}", roles=EVERYBODY),
    Place(name="imports", path="/app/{app}/imports"),
    Place(name="import", path="/app/{app}/imports/{import}"),
    Place(name="audit", path="/audit"),
    Place(name="about", path="/about"),
    Place(name="brand", path="/brand"),
    Place(name="not-found", path="/app/unknown", roles=EVERYBODY, status=404),
)
