"""A rotation function to AWS's template: PostgreSQL, a single user who changes their own password."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import database
import template


def lambda_handler(event, context):
    template.dispatch(
        event,
        {
            "createSecret": lambda *secret: template.create(*secret, username=lambda name: name),
            "setSecret": set_secret,
            "testSecret": test_secret,
            "finishSecret": template.finish,
        },
    )


def set_secret(client, arn, token):
    """AWSCURRENT, or AWSPREVIOUS where that is what the account still has, sets the pending password."""
    pending, current = template.read(client, arn, "AWSPENDING", token), template.read(client, arn, "AWSCURRENT")
    if database.logs_in(pending):
        return
    candidates = [current]
    try:
        candidates.append(template.read(client, arn, "AWSPREVIOUS"))
    except client.exceptions.ResourceNotFoundException:
        pass
    for value in candidates:
        for key in ("username", "host"):
            if value[key] != pending[key]:
                raise ValueError("the %s of version %s is another one" % (key, token))
        connection = database.login(value)
        if connection is not None:
            break
    else:
        raise ValueError("no known password of %s logs in" % arn)
    try:
        database.change(connection, [("ALTER ROLE %I PASSWORD %L", [pending["username"], pending["password"]])])
    finally:
        connection.close()


def test_secret(client, arn, token):
    if not database.logs_in(template.read(client, arn, "AWSPENDING", token)):
        raise ValueError("the pending password of %s does not log in" % arn)
