"""A brand: as what an organisation's customers see the portal. Colours keep the contrast that WCAG asks of text."""

import re
from dataclasses import dataclass

TEXT_CONTRAST = 4.5  # of text and what is behind it (WCAG 2.2, 1.4.3)
MAX_BRAND_CHARACTERS = 60
MAX_LOGO_CHARACTERS = 2_000
BLACK, WHITE = "#000000", "#ffffff"
_COLOUR = re.compile("#[0-9a-f]{6}")
_LOGO = re.compile(r"(https://[0-9a-z](?:[0-9a-z.-]*[0-9a-z])?(?::[0-9]{1,5})?)/[!-~]+")
_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """The name, an image that the customer's browser loads, and a colour as `#rrggbb`."""

    name: str
    logo_url: str | None = None
    accent: str | None = None

    @property
    def logo_origin(self) -> str | None:
        """Where the image comes from, as Content-Security-Policy names it."""
        found = None if self.logo_url is None else _LOGO.fullmatch(self.logo_url)
        return None if found is None else found[1]


def is_brand_name(name: str) -> bool:
    """Whether it is a line of printable text."""
    return 0 < len(name) <= MAX_BRAND_CHARACTERS and name.isprintable()


def is_colour(text: str) -> bool:
    """Whether it is `#rrggbb`."""
    return _COLOUR.fullmatch(text) is not None


def is_logo_url(url: str) -> bool:
    """Whether it is an address over TLS, in ASCII, whose origin can be named in a policy as it stands."""
    return len(url) <= MAX_LOGO_CHARACTERS and _LOGO.fullmatch(url) is not None


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def text_on(ground: str) -> str:
    """Black or white, whichever is read better on the colour. Either contrasts by more than TEXT_CONTRAST with any."""
    return max(BLACK, WHITE, key=lambda text: contrast(text, ground))


def readable(colour: str, *, on: str) -> str:
    """The colour, mixed with as much black or white as it takes to read it on the ground `on`."""
    towards = text_on(on)
    mixed = (_mixed(colour, towards, step / _STEPS) for step in range(_STEPS + 1))
    return next(one for one in mixed if contrast(one, on) >= TEXT_CONTRAST)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in bytes.fromhex(colour[1:]))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return float(channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4)


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return f"#{bytes(round(one + (another - one) * share) for one, another in pairs).hex()}"
