"""Use cases of search: from what somebody has in hand, an id or a name, to the things that have it."""

from dataclasses import dataclass

from service.application.access import Caller
from service.application.background_tasks import BackgroundTasks
from service.application.ports.repositories import ApplicationRepository
from service.application.ports.searches import SearchRepository
from service.domain import ids
from service.domain.applications import Application
from service.domain.background_tasks import BackgroundTask
from service.domain.errors import NotFound
from service.domain.limits import is_name
from service.domain.searches import Hit, HitKind

MOST_APPLICATIONS = 2_000  # in which an event id or the uid of an endpoint is looked up
MOST_HITS = 20  # of a kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """The searches of a caller, who finds what is its organisation's, or its one application's.

    Ids tell by their prefix what they are of. Any other word may be an application's uid, an event id or an endpoint's
    uid; behind the name of an application it is looked up there.
    """

    caller: Caller
    searches: SearchRepository
    applications: ApplicationRepository
    tasks: BackgroundTasks

    async def find(self, text: str) -> list[Hit]:
        """What has this id or name, applications first. `text` is one word, or an application and one word."""
        words = text.split()
        if not 1 <= len(words) <= 2 or not all(map(is_name, words)):
            return []
        if len(words) == 1:
            return await self._word(words[0])
        application = await self._application(words[0])
        return [] if application is None else await self._named(words[1], within=application)

    async def _word(self, word: str) -> list[Hit]:
        org_id, app_id = self.caller.org_id, self.caller.app_id
        found: Hit | None
        match word.partition("_")[0] + "_":
            case ids.APPLICATION:
                found = _application_hit(await self._application(word))
            case ids.ENDPOINT:
                found = await self.searches.endpoint(org_id, word, app_id=app_id)
            case ids.MESSAGE:
                found = await self.searches.message(org_id, word, app_id=app_id)
            case ids.ATTEMPT:
                found = await self.searches.attempt(org_id, word, app_id=app_id)
            case ids.TASK:
                found = await self._task(word)
            case _:
                found = None
        return await self._names(word) if found is None else [found]

    async def _names(self, word: str) -> list[Hit]:
        application = _application_hit(await self._application(word))
        return [*([] if application is None else [application]), *await self._named(word, within=None)]

    async def _application(self, ref: str) -> Application | None:
        found = await self.applications.get(self.caller.org_id, ref)
        return None if found is None or self.caller.app_id not in {None, found.id} else found

    async def _named(self, word: str, *, within: Application | None) -> list[Hit]:
        app_id = self.caller.app_id if within is None else within.id
        found = await self.searches.named(
            self.caller.org_id, word, app_id=app_id, applications=MOST_APPLICATIONS, hits=MOST_HITS
        )
        return list(found)

    async def _task(self, task_id: str) -> Hit | None:
        try:
            task = await self.tasks.get(task_id)
        except NotFound:
            return None
        return _task_hit(task)


def _application_hit(application: Application | None) -> Hit | None:
    if application is None:
        return None
    return Hit(
        kind=HitKind.APPLICATION,
        id=application.id,
        label=application.name,
        app_id=application.id,
        app_name=application.name,
    )


def _task_hit(task: BackgroundTask) -> Hit:
    return Hit(kind=HitKind.TASK, id=task.id, label=task.kind, app_id=task.app_id, app_name=None)
