"""Who says what is told: the resource of all three signals."""

import pytest

from service.observability.resource import describe

POD = {"K8S_POD_UID": "0ccf6d8e", "K8S_POD_NAME": "relevo-0"}


@pytest.mark.parametrize(("process", "instance"), [(None, "0ccf6d8e"), (1, "0ccf6d8e/1"), (2, "0ccf6d8e/2")])
def test_a_pod_is_an_instance_or_each_of_its_processes_is(process: int | None, instance: str) -> None:
    attributes = describe(role="serve", version="0", environ=POD, process=process).attributes

    assert (attributes["service.instance.id"], attributes["k8s.pod.uid"]) == (instance, "0ccf6d8e")


def test_what_is_in_no_pod_is_an_instance_each_time_it_starts() -> None:
    first, second = (describe(role="serve", version="0", environ={}, process=1).attributes for _ in range(2))

    assert first["service.instance.id"] != second["service.instance.id"]
