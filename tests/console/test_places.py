"""Every page of the console is looked at in a browser, as `tests/browser/places.py` lists them."""

import re

from fastapi import FastAPI
from starlette.routing import Route, compile_path

from service.api.app import BASE_PATH
from service.console.pages import BASE
from tests.browser.places import PLACES

# What answers a GET with no page of its own.
NO_PAGES = {"", "/brand.css", "/static/{name}"}
OTHERS = re.compile(r"/sign-in/openid\b|.*/export$")  # to an identity provider and back, and files


def test_every_page_is_a_row_of_those_that_the_browser_opens(app: FastAPI) -> None:
    paths = {
        route.path.removeprefix(BASE)
        for route in app.router.routes
        if isinstance(route, Route) and route.path.startswith(BASE) and "GET" in (route.methods or ())
    }
    opened = [re.sub(r"\{\w+\}", "x", place.path.partition("?")[0]) for place in PLACES]
    unopened = [
        path
        for path in paths - NO_PAGES
        if not OTHERS.match(path) and not any(compile_path(path)[0].match(each) for each in opened)
    ]

    assert len(paths) > 30
    assert unopened == []


def test_the_document_of_the_api_tells_nothing_of_pages(app: FastAPI) -> None:
    paths = app.openapi()["paths"]

    assert f"{BASE_PATH}/app" in paths
    assert [path for path in paths if not path.startswith(BASE_PATH)] == []
