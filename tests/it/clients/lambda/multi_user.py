"""A rotation function to AWS's template: PostgreSQL, two users in turn, the idle one changed by an admin."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import database
import template

SUFFIX = "_clone"


def lambda_handler(event, context):
    template.dispatch(
        event,
        {
            "createSecret": lambda *secret: template.create(*secret, username=partner),
            "setSecret": set_secret,
            "testSecret": test_secret,
            "finishSecret": template.finish,
        },
    )


def partner(username):
    """The other user of the pair."""
    return username[: -len(SUFFIX)] if username.endswith(SUFFIX) else username + SUFFIX


def set_secret(client, arn, token):
    """The admin makes the pending user, or gives it its new password."""
    pending, current = template.read(client, arn, "AWSPENDING", token), template.read(client, arn, "AWSCURRENT")
    if database.logs_in(pending):
        return
    if pending["username"] != partner(current["username"]) or pending["host"] != current["host"]:
        raise ValueError("version %s is not of the other user of %s" % (token, arn))
    # Whoever cannot log in with AWSCURRENT shall not have the admin's help.
    if not database.logs_in(current):
        raise ValueError("AWSCURRENT of %s does not log in" % arn)
    admin = template.read(client, current["masterarn"], "AWSCURRENT")
    if admin["host"] != current["host"]:
        raise ValueError("the admin of %s is of another host" % arn)
    admin["dbname"] = current.get("dbname", "postgres")
    connection = database.login(admin)
    if connection is None:
        raise ValueError("the admin of %s does not log in" % arn)
    user, password = pending["username"], pending["password"]
    try:
        if database.exists(connection, user):
            database.change(connection, [("ALTER ROLE %I PASSWORD %L", [user, password])])
        else:
            database.change(
                connection,
                [
                    ("CREATE ROLE %I LOGIN PASSWORD %L", [user, password]),
                    ("GRANT %I TO %I", [current["username"], user]),
                ],
            )
    finally:
        connection.close()


def test_secret(client, arn, token):
    if not database.logs_in(template.read(client, arn, "AWSPENDING", token)):
        raise ValueError("the pending password of %s does not log in" % arn)
