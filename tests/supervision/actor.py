"""A child that behaves as it is told: it answers like a process of Relevo, or does not."""

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service.supervision.instructions import Instructions, from_parent, leave_with_parent

METRICS = "# TYPE done_total counter\ndone_total 1.0\n# TYPE there gauge\nthere 1.0\n"
LAST_METRICS = METRICS.replace("done_total 1.0", "done_total 5.0")


def act(part: str) -> None:
    """Play the part: `exits`, `just begun` (signals end it, since it takes no notice yet), `never ready`, `stubborn`
    (stays when told to leave), `mumbling` (it has no metrics) or `good`."""
    told = Instructions.read(parent := from_parent())
    if part == "exits":
        sys.exit(7)
    if part == "just begun":
        signal.pause()
    leave_with_parent(parent)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ok = self.path.startswith(("/livez", "/metrics")) or part != "never ready"
            metrics = "mumble {" if part == "mumbling" else METRICS
            body = metrics if self.path == "/metrics" else '{"checks": {}}'
            self.send_response(200 if ok else 503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=told.ops)

    def leave(*_: object) -> None:
        os.write(told.last_words, LAST_METRICS.encode())
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if part == "stubborn" else leave)
    server.serve_forever()


if __name__ == "__main__":
    act(sys.argv[1])
