"""The dashboards: each can be narrowed, and each panel says what it shows and in which unit."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.stack.expressions import dashboards, selectors_in

VARIABLES = ("environment", "role", "instance")
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
    variables = DASHBOARDS[uid]["templating"]["list"]

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
