"""What a BrandRepository does."""

from service.domain.brands import Brand
from service.domain.ids import OrgId
from tests.contracts.conftest import BeginKept
from tests.support.kept import NOW

STRANGER = OrgId("org_000000000000000000000000002")


async def test_an_organisation_has_one_brand_which_is_replaced_and_deleted(kept: BeginKept) -> None:
    org = OrgId("org_branded")
    plain = Brand(name="Harbour & Sons")
    full = Brand(name="Harbour", logo_url="https://harbour.example/logo.svg", accent="#3457d5")

    found = []
    async with kept() as work:
        found.append(await work.brands.get(org))
        for brand in (plain, full):
            await work.brands.put(org, brand, at=NOW)
            found.append(await work.brands.get(org))
        await work.brands.delete(STRANGER)
        found += [await work.brands.get(org), await work.brands.get(STRANGER)]
        await work.brands.delete(org)
        found.append(await work.brands.get(org))

    assert found == [None, plain, full, full, None, None]
