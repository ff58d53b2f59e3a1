"""What the suites share: the client, a check that says what is not so, and which operations were called."""

import os
import sys
import time

import boto3

DAY = 86400
called = set()


def connect(**session):
    """A client of the server that the environment names. Notes what it calls."""
    client = boto3.session.Session(**session).client(
        "secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"], region_name="us-east-1"
    )
    client.meta.events.register("before-call.secretsmanager", lambda model, **_: called.add(model.name))
    return client


def parameter_store():
    """The same server as Parameter Store, which is another service to every client."""
    url = os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"]
    return boto3.client("ssm", endpoint_url=url, region_name="us-east-1")


def has(client, operation):
    """Whether this boto3 knows the operation; a distribution's own may be too old. Says so then."""
    if operation in client.meta.service_model.operation_names:
        return True
    called.add(operation)
    print("left out: boto3: %s has no %s" % (boto3.__version__, operation), file=sys.stderr)
    return False


def check(what, holds):
    if not holds:
        raise AssertionError("not so: " + what)


def same(what, is_, should_be):
    check("%s is %r, not %r" % (what, is_, should_be), is_ == should_be)


def now(what, date):
    """The date is of this minute, and knows its time zone."""
    check("%s is now: %s" % (what, date), abs(date.timestamp() - time.time()) < 60)


def refused(error, call, message=None, **parameters):
    """The call raises this class, which is the client's own (`client.exceptions.X`) or a code of none."""
    from botocore.exceptions import ClientError

    kind = ClientError if isinstance(error, str) else error
    try:
        call(**parameters)
    except kind as raised:
        response = raised.response
        code = error if isinstance(error, str) else error.__name__
        same("the code", response["Error"]["Code"], code)
        same("the status", response["ResponseMetadata"]["HTTPStatusCode"], 400)
        if not isinstance(error, str) and "Message" in response:
            same("the modelled Message", response["Message"], response["Error"]["Message"])
        if message is not None:
            same("the message", response["Error"]["Message"], message)
        return response["Error"]["Message"]
    raise AssertionError("%s(%s) was not refused" % (call.__name__, parameters))


def until(what, condition, seconds=60):
    """Asks until the answer is true."""
    end = time.time() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        check("within %d s: %s" % (seconds, what), time.time() < end)
        time.sleep(0.1)
