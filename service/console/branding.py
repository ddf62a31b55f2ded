"""A brand's colour as a style sheet: for buttons as it is, for links as near to it as can be read on our grounds."""

from hashlib import sha256

from service.domain.brands import Brand, readable, text_on

# The grounds of console.css on which links are hardest to read.
LIGHT, DARK = "#f6f7f9", "#1a1f29"


def style_sheet(brand: Brand | None) -> str:
    """Nothing without a colour."""
    if brand is None or brand.accent is None:
        return ""
    return (
        f":root {{ --fill: {brand.accent}; --on-fill: {text_on(brand.accent)}; {_link(brand.accent, on=LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_link(brand.accent, on=DARK)} }} }}\n"
    )


def address(brand: Brand) -> str:
    """The path of its style sheet, which changes with what it says, so that browsers may keep it."""
    return f"/console/brand.css?v={sha256(style_sheet(brand).encode()).hexdigest()[:12]}"


def _link(accent: str, *, on: str) -> str:
    colour = readable(accent, on=on)
    return f"--accent: {colour}; --on-accent: {text_on(colour)};"
