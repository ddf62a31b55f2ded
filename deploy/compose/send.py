"""Sends ten events through the API, as a customer's backend would, and prints their links in Jaeger."""

import json
import os
import subprocess
import sys
from urllib.parse import urlencode

from svix.api import ApplicationIn, EndpointIn, MessageIn, Svix, SvixOptions

EVENTS = 10


def main() -> None:
    """The token comes from the secret that this container shares with the server."""
    token = subprocess.check_output([sys.executable, "-m", "service", "token"], text=True).strip()  # ourselves
    client = Svix(token, SvixOptions(server_url=os.environ["SERVER_URL"]))
    app = client.application.create(ApplicationIn(name="Example")).id
    client.endpoint.create(app, EndpointIn(url=os.environ["RECEIVER_URL"]))
    for number in range(EVENTS):
        message = client.message.create(app, MessageIn(event_type="order.paid", payload={"order": number})).id
        sys.stdout.write(f"{message}  {_link(message)}\n")


def _link(message: str) -> str:
    query = urlencode({"service": "relevo", "tags": json.dumps({"relevo.message.id": message})})
    return f"{os.environ['JAEGER_LINK']}/search?{query}"


if __name__ == "__main__":
    main()
