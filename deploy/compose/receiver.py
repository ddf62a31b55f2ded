"""The example's receiver: answers 200, except that the first call about every third message gets a 500."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """One call."""

    seen: set[str] = set()  # noqa: RUF012  # the server makes a handler for each call; this is what they share

    def do_POST(self) -> None:  # the name http.server looks for
        """Read the event, answer, print the message's id and the status."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        message = self.headers.get("webhook-id", "")
        status = 200 if message in self.seen or len(self.seen) % 3 else 500
        self.seen.add(message)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()
        sys.stdout.write(f"{message} answered {status}\n")
        sys.stdout.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server has it
        """Print nothing: `do_POST` prints the call."""


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8080), Receiver).serve_forever()  # noqa: S104  # inside a container
