"""A form that was refused is shown again, as it was filled in, with what is wrong at each field."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from service.api.problems import fault_of, place_of, status_of
from service.console.forms import Form
from service.domain.errors import Conflict, Invalid, Refused, RelevoError

Problems = Mapping[str, str]  # a sentence for a field by its name, and for the whole form at ""


class FormRefused(RelevoError):
    """Raised instead of returning the page, so that the request's transaction is rolled back."""

    code = "form_refused"

    def __init__(self, template: str, values: Mapping[str, object], problems: Problems, *, status: int) -> None:
        super().__init__()
        self.template = template
        self.values = {**values, "problems": problems}
        self.status = status


@contextmanager
def refused_with(template: str, form: Form, **values: object) -> Iterator[None]:
    """Show the template again when something within is refused for what the form says. Raises FormRefused."""
    shown = {"form": form, **values}
    try:
        yield
    except ValidationError as error:
        raise FormRefused(template, shown, _faults(error), status=422) from None
    except Invalid as error:
        raise FormRefused(template, shown, {_name(place_of(error)): error.detail}, status=422) from None
    except (Conflict, Refused) as error:
        raise FormRefused(template, shown, {"": error.detail}, status=status_of(error)) from None


def _faults(error: ValidationError) -> dict[str, str]:
    faults = [fault_of(each) for each in error.errors()]
    return {_name(["body", *fault.loc]): fault.msg for fault in faults}


def _name(place: list[str]) -> str:
    # The fields of a destination's configuration are fields of the form like any others.
    place = place[1:] if place[1:2] == ["config"] and len(place) > 2 else place
    return place[1] if len(place) > 1 else ""
