"""Use cases of an organisation's brand: show it, keep it, remove it."""

from service.application.ports.machine import Clock
from service.application.ports.repositories import BrandRepository
from service.domain.brands import MAX_BRAND_CHARACTERS, Brand, is_brand_name, is_colour, is_logo_url
from service.domain.errors import Invalid
from service.domain.ids import OrgId


class Brands:
    """The one brand that the organisation's customers see, or none."""

    def __init__(self, org_id: OrgId, brands: BrandRepository, *, clock: Clock) -> None:
        self._org_id = org_id
        self._brands = brands
        self._clock = clock

    async def get(self) -> Brand | None:
        """The brand, None before one was kept."""
        return await self._brands.get(self._org_id)

    async def keep(self, brand: Brand) -> None:
        """Keep it instead of the one before. Raises Invalid."""
        if not is_brand_name(brand.name):
            raise Invalid(f"A name is one line of at most {MAX_BRAND_CHARACTERS} characters.", field=("name",))
        if brand.logo_url is not None and not is_logo_url(brand.logo_url):
            raise Invalid("A logo is the URL of an image, https://host/path, in ASCII.", field=("logo_url",))
        if brand.accent is not None and not is_colour(brand.accent):
            raise Invalid("A colour is written as in #2f50c8.", field=("accent",))
        await self._brands.put(self._org_id, brand, at=self._clock.now())

    async def remove(self) -> None:
        """Show customers no brand."""
        await self._brands.delete(self._org_id)
