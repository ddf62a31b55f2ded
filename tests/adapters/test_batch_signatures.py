"""The signature of requests to S3, against the example that Amazon documents, and where objects go."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.adapters.destinations.s3.sender import Place, contents, object_key, place_of
from service.adapters.destinations.s3.signature import signed
from service.domain.sinks import S3Sink
from tests.support.batch_stands import a_batch

SINK = S3Sink(bucket="bucket", region="eu-central-1", access_key_id="id", secret_access_key="key")


def test_a_request_is_signed_as_in_amazons_example() -> None:
    headers = signed(
        "PUT",
        host="examplebucket.s3.amazonaws.com",
        path="/test$file.text",
        headers={"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        body=b"Welcome to Amazon S3.",
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
        at=datetime(2013, 5, 24, tzinfo=UTC),
    )

    _, _, signature = headers["authorization"].partition("Signature=")
    assert signature == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"


@pytest.mark.parametrize(
    ("sink", "place"),
    [
        (SINK, Place("https", "bucket.s3.eu-central-1.amazonaws.com", "/key")),
        (replace(SINK, bucket="a.b"), Place("https", "s3.eu-central-1.amazonaws.com", "/a.b/key")),
        (replace(SINK, endpoint_url="http://store:9000/s3/"), Place("http", "store:9000", "/s3/bucket/key")),
    ],
)
def test_an_object_has_its_place(sink: S3Sink, place: Place) -> None:
    assert place_of(sink, "key") == place


def test_the_same_messages_are_the_same_object() -> None:
    batch = a_batch(b'{\n"n": 1.0}', b"2", first=7)

    assert contents(batch) == contents(batch)
    assert object_key(batch) == "app_1/dest_1/00000000000000000007-00000000000000000008.ndjson.gz"
