"""Colours that can be read, and what is no brand."""

import pytest

from service.domain.brands import (
    TEXT_CONTRAST,
    Brand,
    contrast,
    is_brand_name,
    is_colour,
    is_logo_url,
    readable,
    text_on,
)

GREYS = [f"#{bytes([level] * 3).hex()}" for level in range(0, 256, 5)]
COLOURS = ["#000000", "#ffffff", "#ffee00", "#2f50c8", "#777777", "#00ff00", "#ff0000", "#0000ff", "#808000", "#f0f0f0"]


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21), ("#ffffff", "#ffffff", 1), ("#777777", "#ffffff", 4.48), ("#ff0000", "#ffffff", 4.0)],
)
def test_contrast_is_as_wcag_defines_it_whichever_comes_first(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize(("ground", "text"), [("#ffee00", "#000000"), ("#2f50c8", "#ffffff"), ("#777777", "#000000")])
def test_text_is_black_or_white_by_contrast(ground: str, text: str) -> None:
    assert text_on(ground) == text


@pytest.mark.parametrize("colour", [*COLOURS, *GREYS])
def test_text_on_any_colour_and_any_colour_as_text_can_be_read(colour: str) -> None:
    assert contrast(colour, text_on(colour)) >= TEXT_CONTRAST
    for ground in ("#f6f7f9", "#1a1f29", "#ffffff", "#000000"):
        assert contrast(readable(colour, on=ground), ground) >= TEXT_CONTRAST


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    assert readable("#2f50c8", on="#ffffff") == "#2f50c8"


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.com/logo.png",
        "https://cdn.example.com",
        "https://user@cdn.example.com/l.png",
        "https://cdn.example.com;script-src/l.png",
        "https://cdn.example.com,/l.png",
        "https://*.example.com/l.png",
        "https://cdn.example.com /l.png",
        "https://cdn.example.com/l png",
        "https://CDN.example.com/l.png",
        "https://größe.example/l.png",
        "https://cdn.example.com/l.png\n",
        "//cdn.example.com/l.png",
        "javascript:alert(1)",
        "data:image/png;base64,",
        "https://cdn.example.com/" + "x" * 2_000,
        "",
    ],
)
def test_what_could_say_more_in_a_policy_than_an_origin_is_no_logo(url: str) -> None:
    assert not is_logo_url(url)
    assert len(url) > 2_000 or Brand(name="n", logo_url=url).logo_origin is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://cdn.example.com/logo.png?v=1", "https://cdn.example.com"),
        ("https://10.0.0.1:8443/a", "https://10.0.0.1:8443"),
    ],
)
def test_a_logo_has_the_origin_that_a_policy_names(url: str, origin: str) -> None:
    assert is_logo_url(url)
    assert Brand(name="n", logo_url=url).logo_origin == origin


def test_a_name_is_a_line_and_a_colour_has_six_digits() -> None:
    assert [is_brand_name(name) for name in ("Acme", "", "a\nb", "\u202e", "x" * 61)] == [True, *[False] * 4]
    assert [is_colour(text) for text in ("#2f50c8", "#2F50C8", "#fff", "red", "#2f50c8;", "")] == [True, *[False] * 5]
