"""The dashboards: each can be narrowed, and each panel says what it shows and in which unit."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.browser.places import PLACES
from tests.stack.expressions import RUNBOOK, dashboards, selectors_in

VARIABLES = ("environment", "role", "instance")
CONSOLE = "${console:raw}"
NARROWED = [
    'deployment_environment_name=~"$environment"',
    'relevo_role=~"$role"',
    'instance=~"$instance"',
]

# What a process of Relevo reports about itself; the collector, and what it or a rule sums up, have no role.
_OF_A_PROCESS = re.compile(r"^(relevo|http|otel)_[a-z0-9_]+$")

DASHBOARDS = {dashboard["uid"]: dashboard for dashboard in dashboards()}
PANELS = {f"{uid}: {panel['title']}": panel for uid, each in DASHBOARDS.items() for panel in each["panels"]}


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_has_the_variables_and_shows_everything_at_first(uid: str) -> None:
    *variables, console = DASHBOARDS[uid]["templating"]["list"]

    assert (console["name"], console["type"]) == ("console", "textbox")
    assert tuple(each["name"] for each in variables) == VARIABLES
    # A process that lacks the label (one that is scraped has no environment) is part of "All".
    assert {each["allValue"] for each in variables} == {".*"}
    assert all(each["current"]["value"] == ["$__all"] for each in variables)
    assert all(each["multi"] and each["label"] and each["description"] for each in variables)


@pytest.mark.parametrize("panel", PANELS)
def test_the_variables_narrow_every_panel_of_what_a_process_reports(panel: str) -> None:
    for target in PANELS[panel]["targets"]:
        for name, matchers in selectors_in(target["expr"]):
            wanted = NARROWED if _OF_A_PROCESS.match(name) else []

            assert [each for each in NARROWED if each in matchers] == wanted, target["expr"]


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_leads_to_pages_of_the_console(uid: str) -> None:
    """In a window of its own, since the dashboard goes on."""
    dashboard = DASHBOARDS[uid]
    (of_all,) = [link for link in dashboard["links"] if link["type"] == "link"]
    links = [of_all, *(link for panel in dashboard["panels"] for link in panel.get("links", ()))]

    assert all(link["title"] and link["targetBlank"] for link in links)
    assert {link["url"] for link in links} <= {f"{CONSOLE}{place.path}" for place in PLACES}


def test_what_the_console_shows_too_is_linked_from_its_panel() -> None:
    linked = {name for name, panel in PANELS.items() if panel.get("links")}

    assert {
        "relevo-endpoints: Endpoints that take nothing, by how long",
        "relevo-deliveries: Oldest due delivery",
        "relevo-deliveries: Attempts under way, by process",
        "relevo-deliveries: Given up, by reason",
    } <= linked


def test_pages_of_the_console_in_the_runbook_are_there() -> None:
    named = set(re.findall(r"/console(/[^`\s?]+)", RUNBOOK.read_text()))
    there = [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(place.path.partition("?")[0]))) for place in PLACES]

    assert len(named) > 4
    assert [path for path in named if not any(each.fullmatch(path) for each in there)] == []


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_in_a_sentence_what_it_shows(panel: str) -> None:
    description = PANELS[panel].get("description", "")

    assert re.fullmatch(r"[A-Z].{30,}\.", description), description


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_units(panel: str) -> None:
    assert all(_units(PANELS[panel]))


def _units(panel: Mapping[str, Any]) -> list[str | None]:
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if panel["type"] != "heatmap":
        return [unit]
    options = panel["options"]
    return [unit, options.get("yAxis", {}).get("unit"), options.get("cellValues", {}).get("unit")]
