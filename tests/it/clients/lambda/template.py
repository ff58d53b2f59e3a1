"""What every rotation function of AWS's template does before and after its own work, through boto3 as it is.

Never here: what is rotated. That is in the functions beside this file, which also call the step they are told to.
"""

import json
import logging
import os

import boto3

logger = logging.getLogger()
logger.setLevel(logging.INFO)


def service():
    """The secrets manager that the environment names: AWS's own functions read this same variable."""
    return boto3.client("secretsmanager", endpoint_url=os.environ["SECRETS_MANAGER_ENDPOINT"])


def dispatch(event, steps):
    """Checks that the version is staged for rotation, then calls the step. `steps` is by name."""
    client, arn, token, step = service(), event["SecretId"], event["ClientRequestToken"], event["Step"]
    described = client.describe_secret(SecretId=arn)
    if not described["RotationEnabled"]:
        raise ValueError("secret %s is not enabled for rotation" % arn)
    stages = described["VersionIdsToStages"].get(token)
    if stages is None:
        raise ValueError("version %s of secret %s has no stage" % (token, arn))
    if "AWSCURRENT" in stages:
        logger.info("version %s is AWSCURRENT already", token)
        return
    if "AWSPENDING" not in stages:
        raise ValueError("version %s of secret %s is not AWSPENDING" % (token, arn))
    if step not in steps:
        raise ValueError("there is no step %s" % step)
    steps[step](client, arn, token)


def read(client, arn, stage, token=None):
    """The value of a stage; with a token, only where that version has the stage."""
    which = {"VersionStage": stage} if token is None else {"VersionStage": stage, "VersionId": token}
    value = json.loads(client.get_secret_value(SecretId=arn, **which)["SecretString"])
    if value.get("engine") != "postgres":
        raise KeyError("the engine of %s must be postgres" % arn)
    for key in ("host", "username", "password"):
        if key not in value:
            raise KeyError("%s is missing from %s" % (key, arn))
    return value


def create(client, arn, token, username):
    """createSecret: a value for the version, unless it has one. `username` is asked for the user's name in it."""
    current = read(client, arn, "AWSCURRENT")
    try:
        read(client, arn, "AWSPENDING", token)
        return
    except client.exceptions.ResourceNotFoundException:
        pass
    password = client.get_random_password(ExcludeCharacters=":/@\"'\\", PasswordLength=32)["RandomPassword"]
    pending = {**current, "username": username(current["username"]), "password": password}
    client.put_secret_value(
        SecretId=arn, ClientRequestToken=token, SecretString=json.dumps(pending), VersionStages=["AWSPENDING"]
    )


def finish(client, arn, token):
    """finishSecret: AWSCURRENT goes to the version, from whichever has it."""
    versions = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    holder = next((version for version, stages in versions.items() if "AWSCURRENT" in stages), None)
    if holder == token:
        return
    moved = {} if holder is None else {"RemoveFromVersionId": holder}
    client.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, **moved)
