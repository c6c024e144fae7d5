"""An endpoint for trackrelay or Toggl Track: checks the signature, echoes the validation code.

Usage: python3 receiver.py [PORT] (default 3000; 0 takes a free one). The secret comes from
TRACK_SECRET, by default the one of the examples. Needs nothing but Python 3.
"""

import hashlib
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("TRACK_SECRET", "a-secret-for-examples-only").encode()


def tell(line):
    # In one piece: deliveries that arrive together would mix their lines.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # Over the raw bytes, before any parsing: re-serialised JSON need not be the same.
        signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, self.headers.get("X-Webhook-Signature-256", "")):
            return self.answer(401, {"error": "wrong signature"})
        event = json.loads(body)
        if "validation_code" in event:
            tell("validation")
            return self.answer(200, {"validation_code": event["validation_code"]})
        # A delivery may come twice; `event_id` tells.
        tell(f"{self.path} {json.dumps(event)}")
        self.answer(200, {})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 3000), Receiver)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
