"""One account of each database rotated with boto3 as the only client, as an AWS user would.

usage: rotation.py ACCOUNTS.json
ACCOUNTS: [{"name", "value": {...}, "admin": {...} or null}]; prints {name: {"old", "new"}} for the caller to log in with.
"""

import json
import sys
import time
import uuid

from suite import check, connect

client = connect()
accounts = json.load(open(sys.argv[1]))
passwords = {}

for account in accounts:
    name, value = account["name"], account["value"]
    if account["admin"]:
        admin = client.create_secret(Name=name + "-admin", SecretString=json.dumps(account["admin"]))
        value["masterarn"] = admin["ARN"]
    # In place, so that whoever called finds the old password dead at once.
    in_place = [{"Key": "pawl:strategy", "Value": "single-user"}]
    created = client.create_secret(Name=name, SecretString=json.dumps(value), Tags=in_place)
    check("the ARN ends in a hyphen and six characters", created["ARN"].split(":")[-1][-7] == "-")
    first = created["VersionId"]
    check("no rotation fields before rotation was configured", "RotationEnabled" not in client.describe_secret(SecretId=name))

    try:
        client.rotate_secret(SecretId=name, RotationLambdaARN="arn:aws:lambda:us-east-1:000000000000:function:nobody")
        check("an unknown function is refused", False)
    except client.exceptions.ClientError as error:
        check("with AccessDeniedException", error.response["Error"]["Code"] == "AccessDeniedException")
    check("and nothing is stored", "RotationEnabled" not in client.describe_secret(SecretId=name))

    token = str(uuid.uuid4())
    rotated = client.rotate_secret(SecretId=name, ClientRequestToken=token, RotationRules={"AutomaticallyAfterDays": 30})
    check("RotateSecret answers with the token as VersionId", rotated["VersionId"] == token)

    until = time.time() + 60
    while True:
        described = client.describe_secret(SecretId=created["ARN"])
        stages = described["VersionIdsToStages"]
        if "AWSCURRENT" in stages.get(token, []):
            break
        check("the rotation ends within a minute: %s" % described, time.time() < until)
        time.sleep(0.1)
    until = time.time() + 10
    while "LastRotatedDate" not in described and time.time() < until:
        described = client.describe_secret(SecretId=name)
    check("labels: %s" % stages, stages == {token: ["AWSCURRENT"], first: ["AWSPREVIOUS"]})
    check("RotationEnabled", described["RotationEnabled"] is True)
    check("RotationRules", described["RotationRules"]["AutomaticallyAfterDays"] == 30)
    check("LastRotatedDate is now", abs(described["LastRotatedDate"].timestamp() - time.time()) < 60)
    next_date = described["NextRotationDate"]
    check("NextRotationDate is a window's last second", next_date.astimezone().utctimetuple()[3:6] == (23, 59, 59))
    days = (next_date.timestamp() - time.time()) / 86400
    check("NextRotationDate is 30 days away: %s" % days, 29.9 < days < 31.1)

    new = client.get_secret_value(SecretId=name)
    old = client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")
    check("versions", new["VersionId"] == token and old["VersionId"] == first)
    before, after = json.loads(old["SecretString"]), json.loads(new["SecretString"])
    changed = {key for key in set(before) | set(after) if before.get(key) != after.get(key)}
    check("only the password changed: %s" % changed, changed == {"password"})
    passwords[name] = {"old": before["password"], "new": after["password"]}

    again = client.rotate_secret(SecretId=name, ClientRequestToken=token)
    check("the same token is the same rotation", again["VersionId"] == token)
    check("no second version", len(client.list_secret_version_ids(SecretId=name)["Versions"]) == 2)
    cancelled = client.cancel_rotate_secret(SecretId=name)
    check("CancelRotateSecret names the secret", cancelled["Name"] == name)
    described = client.describe_secret(SecretId=name)
    check("cancelled", described["RotationEnabled"] is False and "NextRotationDate" not in described)
    check("rules are kept", described["RotationRules"]["AutomaticallyAfterDays"] == 30)

print(json.dumps(passwords))
