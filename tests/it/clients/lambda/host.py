"""A host of rotation functions for the tests: the Lambda Invoke API on loopback, with the faults that Lambda has.

usage: host.py --state DIR --function NAME=FILE [--function NAME=FILE ...]
               [--emulator] [--access-key ID --region REGION]

Plain HTTP, `POST /2015-03-31/functions/NAME/invocations`, one invocation of all functions at a time. The functions are
Python files with a `lambda_handler(event, context)`, taken as they are. What they find in their environment is what
this process was given.

Without more it answers as Lambda does: a function that fails is status 200 with `X-Amz-Function-Error`. With --emulator
it answers as the runtime interface emulator does: one function, called `function`, and no such header. With --access-key
(its secret half in the variable HOST_SECRET_ACCESS_KEY) every request must be signed; botocore's own signer is what it
compares with.

DIR/url          where it listens, once it does
DIR/requests     what it was sent and what it answered, a JSON object a line
DIR/environment  variables to set before the next invocation, a JSON object; it may be there or not
DIR/faults/      a file STEP.N with one word in it is a fault of one invocation of that step, and is taken away when it is
                 used. The words are the methods of Faults. A second word is the version it is about.
"""

import argparse
import datetime
import importlib.util
import json
import os
import sys
import threading
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

PREFIX, SUFFIX = "/2015-03-31/functions/", "/invocations"


class Context:
    """What Lambda hands to a function beside the event."""

    def __init__(self, name, seconds=900):
        self.function_name = name
        self.function_version = "$LATEST"
        self.invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name
        self.memory_limit_in_mb = "128"
        self.aws_request_id = str(uuid.uuid4())
        self.log_group_name = "/aws/lambda/" + name
        self.log_stream_name = "2026/01/01/[$LATEST]0"
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self):
        return max(0, int((self._ends - time.monotonic()) * 1000))


class Answer(Exception):
    """The reply to an invocation: its status, its body, and what Lambda calls the error, where it is one."""

    def __init__(self, status, body, error_type=None, function_error=None):
        super().__init__(status)
        self.status, self.body, self.error_type, self.function_error = status, body, error_type, function_error


class Lost(Exception):
    """There is no reply: the connection ends, at once or when the caller ends it."""

    def __init__(self, waits=False):
        super().__init__()
        self.waits = waits


def failed(kind, message, trace=()):
    """What Lambda says of a function that failed: the invocation itself is a success."""
    body = {"errorMessage": message, "errorType": kind, "requestId": str(uuid.uuid4()), "stackTrace": list(trace)}
    return Answer(200, body, function_error="Unhandled", error_type=kind)


class Faults:
    """Each is given the invocation and says how it goes instead. Returns what the function returned."""

    @staticmethod
    def throttle(run):
        body = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."}
        raise Answer(429, body, error_type="TooManyRequestsException")

    @staticmethod
    def service(run):
        raise Answer(500, {"Type": "Service", "message": "Service error."}, error_type="ServiceException")

    @staticmethod
    def pending(run):
        body = {"Type": "User", "message": "The operation cannot be performed at this time. The function is currently Pending"}
        raise Answer(409, body, error_type="ResourceConflictException")

    @staticmethod
    def refuse(run):
        raise failed("ValueError", "nothing was done")

    @staticmethod
    def leak(run):
        """A careless function: what it read is in its error."""
        run()
        import boto3

        client = boto3.client("secretsmanager", endpoint_url=os.environ["SECRETS_MANAGER_ENDPOINT"])
        value = client.get_secret_value(SecretId=run.event["SecretId"], VersionId=run.event["ClientRequestToken"])
        raise failed("ValueError", "could not set " + value["SecretString"] + " with " + run.event["RotationToken"])

    @staticmethod
    def nothing(run):
        return None

    @staticmethod
    def after(run):
        """It did its work, and failed all the same."""
        run()
        raise failed("RuntimeError", "after the change")

    @staticmethod
    def exit(run):
        """Its process died after its change."""
        run()
        raise failed("Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: signal: killed" % uuid.uuid4())

    @staticmethod
    def timeout(run):
        run()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        raise failed("Sandbox.Timedout", "%s %s Task timed out after 3.00 seconds" % (now, uuid.uuid4()))

    @staticmethod
    def cut(run):
        """The work is done and the reply is lost."""
        run()
        raise Lost

    @staticmethod
    def unheard(run):
        """The request is lost."""
        raise Lost

    @staticmethod
    def hang(run):
        """It did its work and never answers. The caller must give up first."""
        run()
        raise Lost(waits=True)

    @staticmethod
    def slow(run):
        """Longer than one lease of the server under test, and well all the same."""
        time.sleep(14)
        return run()


class Host:
    def __init__(self, options):
        self.options = options
        self.state = Path(options.state)
        self.turn = threading.Lock()
        self.record = threading.Lock()
        self.configured = "{}"
        self.handlers = {}
        for named in options.function:
            name, file = named.split("=", 1)
            self.handlers[name] = load(name, file)

    def invoke(self, name, event):
        """Runs the function, unless a fault is due. Returns the answer."""
        if name not in self.handlers:
            arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name
            body = {"Type": "User", "Message": "Function not found: " + arn}
            return Answer(404, body, error_type="ResourceNotFoundException")
        with self.turn:
            self.configure()
            fault = self.fault(event)
            try:
                return Answer(200, getattr(Faults, fault or "none", lambda run: run())(self.run(name, event)))
            except Answer as answer:
                return answer
            except Exception as error:
                trace = traceback.format_list(traceback.extract_tb(error.__traceback__))
                return failed(type(error).__name__, str(error), trace)

    def run(self, name, event):
        def run():
            # A function gets its event as text, so that nothing of it is shared.
            return self.handlers[name](json.loads(json.dumps(event)), Context(name))

        run.event = event
        return run

    def configure(self):
        """A function's configuration may be changed between two invocations. Lambda begins another process then; here
        it is enough that boto3 forgets the key that it has found."""
        file = self.state / "environment"
        text = file.read_text() if file.exists() else "{}"
        if text != self.configured:
            self.configured = text
            os.environ.update(json.loads(text))
            if "boto3" in sys.modules:
                sys.modules["boto3"].DEFAULT_SESSION = None

    def fault(self, event):
        for file in sorted((self.state / "faults").glob("*")):
            word, *version = file.read_text().split()
            if file.name.split(".")[0] == event["Step"] and version in ([], [event["ClientRequestToken"]]):
                file.unlink()
                return word
        return None

    def note(self, **what):
        with self.record, open(self.state / "requests", "a") as file:
            file.write(json.dumps(what) + "\n")


def load(name, file):
    """The file's handler, under a module name of its own: every one of AWS's is a `lambda_function`."""
    spec = importlib.util.spec_from_file_location("function_" + name.replace("-", "_"), file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lambda_handler


def unsigned(request, path, body, options):
    """Why the request is not rightly signed for Lambda; None where it is. The signer is botocore's."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    given = request.headers.get("Authorization", "")
    if not given.startswith("AWS4-HMAC-SHA256 "):
        return "Missing Authentication Token"
    parts = dict(part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    date = request.headers.get("X-Amz-Date", "")
    scope = "/".join([options.access_key, date[:8], options.region, "lambda", "aws4_request"])
    if parts.get("Credential") != scope:
        return "Credential should be scoped to " + scope
    then = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(datetime.datetime.now(datetime.timezone.utc) - then) > datetime.timedelta(minutes=5):
        return "Signature expired"
    names = parts["SignedHeaders"].split(";")
    if "host" not in names or "x-amz-date" not in names:
        return "host and x-amz-date must be signed"
    for name in request.headers:
        if name.lower().startswith("x-amz-") and name.lower() not in names:
            return "%s must be signed" % name
    signer = SigV4Auth(Credentials(options.access_key, os.environ["HOST_SECRET_ACCESS_KEY"]), "lambda", options.region)
    signed = AWSRequest(method="POST", url="http://%s%s" % (request.headers["Host"], path), data=body)
    for name in names:
        signed.headers[name] = request.headers[name]
    signed.context["timestamp"] = date
    expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    return None if parts.get("Signature") == expected else "The request signature we calculated does not match"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = None

    def do_POST(self):
        path = self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = {"Path": path, "Headers": headers, "Body": body.decode("utf-8", "replace")}
        try:
            answer = self.answer(path, body)
        except Lost as lost:
            self.host.note(**said, Status=None)
            if lost.waits:
                self.connection.recv(1)
            self.close_connection = True
            return
        self.host.note(**said, Status=answer.status, Error=answer.error_type)
        self.reply(answer)

    def answer(self, path, body):
        options = self.host.options
        if not path.startswith(PREFIX) or not path.endswith(SUFFIX):
            return Answer(404, {"message": "no such path"}, error_type="UnknownOperationException")
        if options.access_key:
            why = unsigned(self, path, body, options)
            if why:
                return Answer(403, {"message": why}, error_type="InvalidSignatureException")
        # The name of a whole ARN is its last part.
        name = unquote(path[len(PREFIX) : -len(SUFFIX)]).rsplit(":", 1)[-1]
        if options.emulator:
            if name != "function":
                return Answer(404, {"message": "404 page not found"})
            name = next(iter(self.host.handlers))
        return self.host.invoke(name, json.loads(body))

    def reply(self, answer):
        body = json.dumps(answer.body).encode()
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if not self.host.options.emulator:
                self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
                self.send_header("X-Amz-Executed-Version", "$LATEST")
                if answer.function_error:
                    self.send_header("X-Amz-Function-Error", answer.function_error)
                elif answer.error_type:
                    self.send_header("x-amzn-ErrorType", answer.error_type)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # The caller has gone.
            self.close_connection = True

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--state", required=True)
    arguments.add_argument("--function", action="append", required=True)
    arguments.add_argument("--emulator", action="store_true")
    arguments.add_argument("--access-key")
    arguments.add_argument("--region", default="us-east-1")
    options = arguments.parse_args()
    (Path(options.state) / "faults").mkdir(parents=True, exist_ok=True)
    Handler.host = Host(options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Whole or not there: somebody waits for it.
    new = Path(options.state) / "url.new"
    new.write_text("http://127.0.0.1:%d" % server.server_address[1])
    new.rename(Path(options.state) / "url")
    # Whoever started this holds the other end, and ends it by going away.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
