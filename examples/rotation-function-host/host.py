#!/usr/bin/env python3
"""Serves one AWS Lambda function on loopback, so that Pawl can call it: the Lambda Invoke API, as the runtime interface
emulator has it. Needs nothing but Python; the function needs what it imports.

    host.py FILE.HANDLER [PORT]          such as: host.py lambda_function.lambda_handler 9000

One invocation at a time, as in a container of Lambda's. The function finds its environment in this process's.
"""

import importlib
import json
import os
import sys
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

PATH = "/2015-03-31/functions/function/invocations"
# Lambda's own limit of an event.
LARGEST = 6 * 1024 * 1024
# What Pawl allows a function where `--timeout` says nothing else.
SECONDS = float(os.environ.get("FUNCTION_TIMEOUT", "60"))


class Context:
    """What Lambda tells a function about its invocation."""

    function_name = "function"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function"
    memory_limit_in_mb = "128"

    def __init__(self):
        self.aws_request_id = str(uuid.uuid4())
        self.log_group_name = "/aws/lambda/function"
        self.log_stream_name = "host"
        self._until = time.monotonic() + SECONDS

    def get_remaining_time_in_millis(self):
        return max(0, int((self._until - time.monotonic()) * 1000))


def invoke(handler, event):
    """What the function returns, or how Lambda says that it failed."""
    try:
        return json.dumps(handler(event, Context()))
    except Exception as error:
        traceback.print_exc()
        trace = traceback.format_list(traceback.extract_tb(error.__traceback__))
        return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace})


class Invocations(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Whoever is silent for this long makes room for the next.
    timeout = 10
    handler = None

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != PATH or length > LARGEST:
            self.close_connection = True
            return self.answer(404 if self.path != PATH else 413, "{}")
        self.answer(200, invoke(type(self).handler, json.loads(self.rfile.read(length))))

    def answer(self, status, body):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # The next call may come from another connection, and only one is served at a time.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        self.wfile.write(body)


def main():
    if len(sys.argv) not in (2, 3) or "." not in sys.argv[1]:
        sys.exit(__doc__)
    module, handler = sys.argv[1].rsplit(".", 1)
    sys.path.insert(0, os.getcwd())
    Invocations.handler = staticmethod(getattr(importlib.import_module(module), handler))
    server = HTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) == 3 else 9000), Invocations)
    print("http://127.0.0.1:%d serves %s" % (server.server_address[1], sys.argv[1]), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
