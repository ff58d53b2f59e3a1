#!/usr/bin/env python3
"""A rotator for Pawl: gives a Redis ACL user a new password while the old one still works.

It receives the events of docs/writing-a-rotator.md, version 1, in managed mode: Pawl makes and keeps the
values, this program tells Redis about them. Redis lets a user have several passwords, so there is no
moment at which a service with AWSCURRENT is refused.

    PAWL_WEBHOOK_KEYS   the keys `pawl rotator add` and `rotate-key` printed, separated by spaces
    REDIS_ADDRESS       the Redis that is served, as 127.0.0.1:6379
    REDIS_ADMIN, REDIS_ADMIN_PASSWORD   who may change its users
    REDIS_TLS           anything, where it speaks TLS
    LISTEN              where events come in, 127.0.0.1:8080 where not set
    TLS_CERT, TLS_KEY   serve https with these (Pawl sends plain http to loopback only)

Never here: a password in a log or an answer. Redis is sent hashes, except to log in.
"""

import hashlib
import json
import logging
import os
import secrets
import socket
import ssl
import struct
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

LONGEST_EVENT = 1 << 20
# One answer of Redis. Longer than any healthy Redis needs, shorter than Pawl's own 10 seconds.
REDIS_TIMEOUT = 3.0
# With less than this left until the deadline no change is begun.
LEAST_TIME = 0.5

log = logging.getLogger("redis-rotator")


class Problem(Exception):
    """What Pawl is told when a step cannot be done."""

    def __init__(self, status, kind, code, message):
        super().__init__(message)
        self.status, self.kind, self.code = status, kind, code


def retryable(code, message):
    return Problem(503, "Retryable", code, message)


def rejected(code, message):
    return Problem(422, "Rejected", code, message)


def needs_person(code, message, status=409):
    return Problem(status, "NeedsPerson", code, message)


# --- The steps -----------------------------------------------------------------------------------------


def set_secret(event):
    """Makes the new password valid beside the present one, in one command that may run any number of times."""
    user, new = credentials(event, "Pending")
    keep = [new]
    if "Current" in event and not event.get("Restoring"):
        present, password = credentials(event, "Current")
        # The one would keep a password that was another user's, and the other would not be rotated.
        if present != user:
            why = f"Pending is of the user {user}, Current of {present}: put one user in both"
            raise needs_person("other-user", why)
        keep.append(password)
    else:
        # On the way back, or with no present value, nobody knows which of the others somebody still uses.
        others = [parsed(value) for value in event.get("Others", [])]
        keep += [text(value, "password") for value in others if text(value, "username") == user]
    change_passwords(event, user, keep)


def test_secret(event):
    """Does the new password log in? Redis answers with WRONGPASS where it does not."""
    user, new = credentials(event, "Pending")
    if not logs_in(user, new):
        raise rejected("wrong-password", f"Redis refuses this password of the user {user}")


def finish_secret(event):
    """Nothing: the old password goes on working, for those who read it just before, until the next rotation or retire."""


def retire(event):
    """The grace is over: only AWSCURRENT's password is left."""
    user, current = credentials(event, "Current")
    change_passwords(event, user, [current])


def check(event):
    """Would a rotation work? Changes nothing."""
    user, current = credentials(event, "Current")
    with admin() as redis:
        must_be_ready(redis, user)
        redis.call("ACL", "SETUSER", user)  # No rules: changes nothing, and is refused to who may not.
    if logs_in(user, secrets.token_urlsafe(32)):
        raise needs_person("any-password", f"Redis lets {user} in with any password, so a login proves nothing")
    if not logs_in(user, current):
        raise needs_person("current-refused", f"AWSCURRENT's password does not log in as {user}; put the right one")


STEPS = {
    "setSecret": set_secret,
    "testSecret": test_secret,
    "finishSecret": finish_secret,
    "retire": retire,
    "check": check,
}


# --- What the steps are made of ------------------------------------------------------------------------


def credentials(event, which):
    """The user and the password of one of the event's values: the secret's JSON."""
    value = parsed(event.get(which))
    user, secret = text(value, "username"), text(value, "password")
    if not user or not secret:
        raise needs_person("bad-value", f"{which} is not JSON with a username and a password")
    # Whoever can write a secret must not be able to change the administrator, or think it is another server's.
    if user == ADMIN_USER:
        raise needs_person("admin-user", f"{user} is the login of this rotator itself, which it does not rotate")
    if (str(value.get("host", HOST)), str(value.get("port", PORT))) != (HOST, PORT):
        raise needs_person("other-server", f"the secret is of another Redis; this rotator serves {HOST}:{PORT}")
    return user, secret


def parsed(value):
    try:
        value = json.loads(value["SecretString"])
    except (TypeError, KeyError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def text(value, key):
    found = value.get(key)
    return found if isinstance(found, str) else ""


def change_passwords(event, user, passwords):
    """Exactly these passwords are valid afterwards, on disk too; the user's other rules stay."""
    hashes = sorted({"#" + hashlib.sha256(password.encode()).hexdigest() for password in passwords if password})
    with admin() as redis:
        must_be_ready(redis, user)
        # Last thing before the change: when Pawl has stopped waiting it may already be doing something else.
        if left(event) < LEAST_TIME:
            raise retryable("too-late", "too little time is left until the deadline; nothing was changed")
        redis.call("ACL", "SETUSER", user, "resetpass", *hashes, within=left(event))
        # Before AWSCURRENT moves: a Redis that restarts must still know the new password.
        try:
            redis.call("ACL", "SAVE", within=left(event))
        except RedisError as error:
            # Never Retryable here: that would say that nothing was changed.
            why = f"Redis has the passwords and cannot save them ({error.code}); see its log, then resume"
            raise needs_person("not-saved", why) from None


def left(event):
    """Seconds until the event may not be acted on any more."""
    return event["until"] - time.monotonic()


def must_be_ready(redis, user):
    """The user must exist, or SETUSER would make it, and be on, or no login proves anything; and be kept in a file."""
    fields = redis.call("ACL", "GETUSER", user)
    if not fields:
        raise needs_person("no-user", f"Redis has no user {user}; create it with its rules first")
    flags = dict(zip(fields[::2], fields[1::2])).get(b"flags", [])
    if b"off" in flags:
        raise needs_person("user-off", f"the Redis user {user} is off; turn it on first")
    if redis.call("CONFIG", "GET", "aclfile")[1:] == [b""]:
        raise needs_person("no-acl-file", "Redis would forget passwords at its next start: set aclfile in redis.conf")


def logs_in(user, secret):
    with Redis() as redis:
        try:
            redis.call("AUTH", user, secret)
        except RedisError as error:
            if error.code == "WRONGPASS":
                return False
            raise
    return True


def admin():
    redis = Redis()
    try:
        redis.call("AUTH", ADMIN_USER, ADMIN_PASSWORD)
    except BaseException:
        redis.close()
        raise
    return redis


# --- Redis: as much of its protocol as this needs ------------------------------------------------------


class RedisError(Exception):
    """Redis answered with an error; its first word says which."""

    def __init__(self, text):
        super().__init__(text)
        self.code = text.split(" ", 1)[0]


def verdict(error):
    """What an error of Redis means for a rotation. Its text stays here: it may quote what was sent."""
    if error.code in ("LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN"):
        return retryable(error.code.lower(), f"Redis says {error.code}")
    if error.code == "WRONGPASS":
        return needs_person("admin-refused", "Redis refuses the login in REDIS_ADMIN and REDIS_ADMIN_PASSWORD")
    return needs_person(error.code.lower(), f"Redis says {error.code}; the rotator's login needs +acl and +config|get")


class Redis:
    """One connection, for one step."""

    def __init__(self):
        try:
            self.socket = socket.create_connection((HOST, PORT), REDIS_TIMEOUT)
        except OSError as error:
            raise retryable("unreachable", f"Redis at {HOST}:{PORT}: {error.strerror or 'no answer'}") from None
        if TLS:
            self.socket = TLS.wrap_socket(self.socket, server_hostname=HOST)
        # Closing takes back what was not sent yet. What Redis has received while it stood still it carries out when it
        # goes on, but before it answers a later connection: no later step can be undone by it.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def call(self, *words, within=REDIS_TIMEOUT):
        if within <= 0:
            raise TimeoutError("not begun")
        self.socket.settimeout(min(REDIS_TIMEOUT, within))
        words = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))
        return self.read()

    def read(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode(errors="replace"))
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        return rest


# --- Events --------------------------------------------------------------------------------------------


def verified(body, headers):
    """The event, if one of our keys signed it within the last five minutes."""
    for key in KEYS:
        try:
            return key.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            pass
    raise needs_person("bad-signature", "no key of PAWL_WEBHOOK_KEYS signed this, or the clocks differ", status=401)


def handle(body, headers):
    """Carries out an event and returns what it was."""
    received = time.monotonic()
    event = verified(body, headers)
    if not isinstance(event, dict) or event.get("Version") != 1:
        raise needs_person("unknown-version", "this rotator speaks version 1 of the contract", status=400)
    step = STEPS.get(event.get("Step"))
    if step is None or event.get("Mode") != "managed":
        raise needs_person("unknown-step", "this rotator has no such step in this mode", status=400)
    try:
        deadline = datetime.fromisoformat(event["Deadline"].replace("Z", "+00:00"))
        # Both, so that neither a clock that is behind nor a slow connection makes it later.
        seconds = min((deadline - datetime.now(timezone.utc)).total_seconds(), float(event["TimeoutSeconds"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise needs_person("bad-event", "Deadline or TimeoutSeconds is missing or wrong", status=400) from None
    event["until"] = received + seconds
    try:
        step(event)
    except RedisError as error:
        raise verdict(error) from None
    return f"{event['Step']} of {event.get('SecretId')}"


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1  # An answer is one packet.

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length") or -1)
            if not 0 <= length <= LONGEST_EVENT:
                self.close_connection = True
                raise needs_person("bad-length", "an event has a Content-Length of at most 1 MiB", status=413)
            log.info("%s: done", handle(self.rfile.read(length), dict(self.headers)))
            self.answer(200, {"Status": "Done"})
        except Problem as problem:
            log.warning("%s: %s", problem.code, problem)
            error = {"Kind": problem.kind, "Code": problem.code, "Message": str(problem)}
            self.answer(problem.status, {"Status": "Error", "Error": error})
        except Exception as error:
            # A timeout in the middle, or a mistake of ours: whether the change was made is not known. An error of 500
            # without our body says just that, and Pawl looks what is true. Only the class: a text may hold a value.
            log.error("unknown outcome: %s", type(error).__name__)
            self.answer(500, {})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """A line for each event is enough."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A connection that broke off is no news, and a traceback none for a log: Pawl asks again."""
        log.debug("a connection broke off", exc_info=True)


def main():
    host, port = os.environ.get("LISTEN", "127.0.0.1:8080").rsplit(":", 1)
    server = Server((host.strip("[]"), int(port)), Receiver)
    if os.environ.get("TLS_CERT"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(f"redis-rotator listens on {host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    KEYS = [Webhook(key) for key in os.environ["PAWL_WEBHOOK_KEYS"].split()]
    HOST, PORT = os.environ["REDIS_ADDRESS"].rsplit(":", 1)
    ADMIN_USER, ADMIN_PASSWORD = os.environ["REDIS_ADMIN"], os.environ["REDIS_ADMIN_PASSWORD"]
    TLS = ssl.create_default_context() if os.environ.get("REDIS_TLS") else None
    main()
