"""Which database an organisation is given, over homes in memory."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from service.application.homes import Homes
from service.domain.errors import Unavailable
from service.domain.ids import OrgId

ORG = OrgId("org_x")


@dataclass
class MemoryHomes:
    """Fulfils `ports.HomeRepository`."""

    lives_in: dict[OrgId, str] = field(default_factory=dict)
    settled: set[OrgId] = field(default_factory=set)

    async def of(self, org_id: OrgId) -> str | None:
        return self.lives_in.get(org_id)

    async def place(self, org_id: OrgId, database: str) -> str:
        return self.lives_in.setdefault(org_id, database)

    async def counts(self) -> Mapping[str, int]:
        return Counter(self.lives_in.values())

    async def has_something(self, org_id: OrgId) -> bool:
        return org_id in self.settled


async def test_a_new_one_is_given_the_least_crowded_and_keeps_it() -> None:
    homes = Homes(MemoryHomes({OrgId("org_a"): "eu-1"}), first="eu-1")

    given = await homes.find_or_give(ORG, among=["eu-1", "eu-2"])

    assert (given, await homes.find_or_give(ORG, among=["eu-1"])) == ("eu-2", "eu-2")
    assert await homes.find(OrgId("org_nobody")) is None


async def test_who_has_something_at_home_stays_there_whatever_is_wished() -> None:
    homes = Homes(MemoryHomes(settled={ORG, OrgId("org_y")}), first="eu-1")

    assert await homes.find_or_give(ORG, among=["eu-2"]) == "eu-1"
    assert await homes.place(OrgId("org_y"), "eu-2") == "eu-1"


async def test_one_that_was_placed_stays_where_it_is() -> None:
    homes = Homes(MemoryHomes(), first="eu-1")

    assert [await homes.place(ORG, name) for name in ("eu-2", "eu-1")] == ["eu-2", "eu-2"]


async def test_without_a_database_that_answers_nobody_new_is_let_in() -> None:
    with pytest.raises(Unavailable):
        await Homes(MemoryHomes(), first="eu-1").find_or_give(ORG, among=[])
