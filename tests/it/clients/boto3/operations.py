"""Every operation with boto3: replies, error classes, the paginator, bytes, dates.

Prints the operations that were called, as JSON.
"""

import json
import time
import uuid

from suite import DAY, called, check, connect, has, now, parameter_store, refused, same, until

client = connect()
errors = client.exceptions
MARKED = "You can't perform this operation on the secret because it was marked for deletion."
UNKNOWN = "Secrets Manager can't find the specified secret."
POSTGRES = "arn:aws:lambda:us-east-1:000000000000:function:postgres"
ACCOUNT = '{"engine": "postgres", "host": "127.0.0.1", "port": 1, "username": "nobody", "password": "x"}'


def a_secret_lives_and_dies():
    name = "boto3/life"
    token = str(uuid.uuid4())
    made = client.create_secret(
        Name=name, ClientRequestToken=token, Description="d", SecretString="one", Tags=[{"Key": "a", "Value": "b"}]
    )
    made.pop("ResponseMetadata")
    same("the members", set(made), {"ARN", "Name", "VersionId"})
    same("the version", made["VersionId"], token)
    again = client.create_secret(Name=name, ClientRequestToken=token, Description="d", SecretString="one")
    same("the same once more", again["ARN"], made["ARN"])
    text = "The operation failed because the secret boto3/life already exists."
    refused(errors.ResourceExistsException, client.create_secret, text, Name=name, SecretString="one")
    text = "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s."
    text = text % (token, made["ARN"])
    refused(
        errors.ResourceExistsException, client.create_secret, text,
        Name=name, ClientRequestToken=token, SecretString="two",
    )

    value = client.get_secret_value(SecretId=made["ARN"])
    check("a request id", len(value["ResponseMetadata"]["RequestId"]) == 36)
    value.pop("ResponseMetadata")
    now("CreatedDate", value.pop("CreatedDate"))
    want = {"ARN": made["ARN"], "Name": name, "VersionId": token, "SecretString": "one", "VersionStages": ["AWSCURRENT"]}
    same("the value", value, want)

    described = client.describe_secret(SecretId=name)
    now("LastChangedDate", described["LastChangedDate"])
    same("LastAccessedDate", described["LastAccessedDate"].timestamp() % DAY, 0)
    same("the tags", described["Tags"], [{"Key": "a", "Value": "b"}])
    same("the stages", described["VersionIdsToStages"], {token: ["AWSCURRENT"]})
    absent = {"RotationEnabled", "RotationRules", "NextRotationDate", "DeletedDate", "KmsKeyId", "ReplicationStatus"}
    same("what there is not", absent & set(described), set())

    updated = client.update_secret(SecretId=name, Description="")
    check("metadata alone is no version", "VersionId" not in updated)
    check("an empty description is none", "Description" not in client.describe_secret(SecretId=name))
    second = client.update_secret(SecretId=name, SecretString="two")["VersionId"]
    stages = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    same("the stages", stages, {token: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})

    client.tag_resource(SecretId=name, Tags=[{"Key": "a", "Value": "c"}, {"Key": "x", "Value": ""}])
    client.untag_resource(SecretId=name, TagKeys=["a", "absent"])
    same("the tags", client.describe_secret(SecretId=name)["Tags"], [{"Key": "x", "Value": ""}])
    client.untag_resource(SecretId=name, TagKeys=["x"])
    same("none left is an empty list", client.describe_secret(SecretId=name)["Tags"], [])

    deleted = client.delete_secret(SecretId=name)
    days = (deleted["DeletionDate"].timestamp() - time.time()) / DAY
    check("thirty days: %s" % days, 29.99 < days < 30.01)
    refused(errors.InvalidRequestException, client.get_secret_value, MARKED, SecretId=name)
    refused(errors.InvalidRequestException, client.put_secret_value, MARKED, SecretId=name, SecretString="x")
    refused(errors.InvalidRequestException, client.tag_resource, MARKED, SecretId=name, Tags=[{"Key": "a", "Value": "b"}])
    refused(errors.InvalidRequestException, client.untag_resource, MARKED, SecretId=name, TagKeys=["a"])
    text = "You can't create this secret because a secret with this name is already scheduled for deletion."
    refused(errors.InvalidRequestException, client.create_secret, text, Name=name, SecretString="x")
    check("DeletedDate", "DeletedDate" in client.describe_secret(SecretId=name))
    same("restored", client.restore_secret(SecretId=name)["Name"], name)
    same("as before", client.get_secret_value(SecretId=name)["SecretString"], "two")
    gone = client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    now("DeletionDate", gone["DeletionDate"])
    for call in client.describe_secret, client.get_secret_value, client.restore_secret, client.list_secret_version_ids:
        refused(errors.ResourceNotFoundException, call, UNKNOWN, SecretId=name)
    made_again = client.create_secret(Name=name, SecretString="x")
    check("a new suffix", made_again["ARN"] != made["ARN"])
    invented = client.delete_secret(SecretId="boto3/never", ForceDeleteWithoutRecovery=True)
    check("deleting what never was", invented["ARN"].split(":")[-1].startswith("boto3/never-"))


def a_secret_without_a_value():
    made = client.create_secret(Name="boto3/empty")
    check("no version", "VersionId" not in made)
    check("no stages", "VersionIdsToStages" not in client.describe_secret(SecretId="boto3/empty"))
    text = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
    refused(errors.ResourceNotFoundException, client.get_secret_value, text, SecretId="boto3/empty")


def bytes_go_both_ways():
    every = bytes(range(256))
    made = client.create_secret(Name="boto3/bytes", SecretBinary=every)
    value = client.get_secret_value(SecretId="boto3/bytes")
    same("the bytes", value["SecretBinary"], every)
    check("one of the two", "SecretString" not in value)
    client.put_secret_value(SecretId=made["ARN"], SecretBinary=b"\0")
    same("the bytes", client.get_secret_value(SecretId=made["ARN"])["SecretBinary"], b"\0")
    client.update_secret(SecretId=made["ARN"], SecretString="text now")
    check("one of the two", "SecretBinary" not in client.get_secret_value(SecretId=made["ARN"]))
    refused(errors.InvalidRequestException, client.put_secret_value, SecretId="boto3/bytes")


def names_and_arns():
    name = "boto3/Invalid/_+=.@-Name-a1b2c3"
    arn = client.create_secret(Name=name, SecretString="x")["ARN"]
    same("by name", client.describe_secret(SecretId=name)["ARN"], arn)
    same("by ARN", client.describe_secret(SecretId=arn)["Name"], name)
    refused(errors.ResourceNotFoundException, client.describe_secret, UNKNOWN, SecretId=arn[:-7])
    arn = client.create_secret(Name="boto3/Valid-a1b2", SecretString="x")["ARN"]
    same("by partial ARN", client.describe_secret(SecretId=arn[:-7])["ARN"], arn)
    text = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
    refused("ValidationException", client.get_secret_value, text, SecretId="a name")
    refused("ValidationException", client.create_secret, text, Name="a#name", SecretString="x")


def labels_move():
    name = "boto3/labels"
    tokens = [str(uuid.uuid4()) for _ in range(3)]
    client.create_secret(Name=name, ClientRequestToken=tokens[0], SecretString="0")
    put = client.put_secret_value(
        SecretId=name, ClientRequestToken=tokens[1], SecretString="1", VersionStages=["AWSPENDING", "blue"]
    )
    same("the labels", sorted(put["VersionStages"]), ["AWSPENDING", "blue"])
    move = client.update_secret_version_stage
    text = "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version "
    text += "%s, so you must explicitly reference that version in RemoveFromVersionId." % tokens[0]
    refused(
        errors.InvalidParameterException, move, text,
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=tokens[1],
    )
    moved = move(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=tokens[1], RemoveFromVersionId=tokens[0])
    same("the secret", moved["Name"], name)
    stages = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    same("the old one", stages[tokens[0]], ["AWSPREVIOUS"])
    same("the new one", sorted(stages[tokens[1]]), ["AWSCURRENT", "AWSPENDING", "blue"])
    client.put_secret_value(SecretId=name, ClientRequestToken=tokens[2], SecretString="2")
    stages = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    same("the stages", {key: sorted(stages[key]) for key in stages}, {tokens[1]: ["AWSPREVIOUS", "blue"], tokens[2]: ["AWSCURRENT"]})
    refused(
        errors.InvalidParameterException, move, SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=tokens[2]
    )
    move(SecretId=name, VersionStage="blue", RemoveFromVersionId=tokens[1])

    listed = client.list_secret_version_ids(SecretId=name)
    same("labelled versions", {entry["VersionId"] for entry in listed["Versions"]}, set(tokens[1:]))
    listed = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)
    same("all versions", {entry["VersionId"] for entry in listed["Versions"]}, set(tokens))
    check("the last page", "NextToken" not in listed)
    bare = [entry for entry in listed["Versions"] if entry["VersionId"] == tokens[0]][0]
    check("no label, no member", "VersionStages" not in bare)
    same("the key", bare["KmsKeyIds"], ["DefaultEncryptionKey"])
    seen, token = [], {}
    while token is not None:
        page = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, MaxResults=2, **token)
        seen += [entry["VersionId"] for entry in page["Versions"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    same("page by page", sorted(seen), sorted(tokens))

    get = client.get_secret_value
    same("unlabelled", get(SecretId=name, VersionId=tokens[0])["SecretString"], "0")
    same("by label", get(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"], "1")
    text = "You provided a VersionStage that is not associated to the provided VersionId."
    refused(errors.InvalidRequestException, get, text, SecretId=name, VersionId=tokens[0], VersionStage="AWSCURRENT")
    missing = str(uuid.uuid4())
    text = "Secrets Manager can't find the specified secret value for VersionId: " + missing
    refused(errors.ResourceNotFoundException, get, text, SecretId=name, VersionId=missing)


def secrets_are_listed():
    for number in range(7):
        client.create_secret(
            Name="boto3/list/%d" % number, Description="Number %d of Seven" % number, SecretString="x",
            Tags=[{"Key": "parity", "Value": "odd" if number % 2 else "even"}],
        )
    prefix = {"Key": "name", "Values": ["boto3/list/"]}
    paginator = client.get_paginator("list_secrets")
    pages = list(paginator.paginate(Filters=[prefix], SortOrder="asc", PaginationConfig={"PageSize": 3}))
    same("the pages", [len(page["SecretList"]) for page in pages], [3, 3, 1])
    names = [entry["Name"] for page in pages for entry in page["SecretList"]]
    same("the names, oldest first", names, ["boto3/list/%d" % number for number in range(7)])
    entry = pages[0]["SecretList"][0]
    same("the stages", list(entry["SecretVersionsToStages"].values()), [["AWSCURRENT"]])
    check("not the other map", "VersionIdsToStages" not in entry)
    now("CreatedDate", entry["CreatedDate"])

    def found(*filters, **more):
        answer = client.list_secrets(Filters=[prefix] + list(filters), SortOrder="asc", **more)
        return [entry["Name"][-1] for entry in answer["SecretList"]]

    same("odd", found({"Key": "tag-value", "Values": ["odd"]}), ["1", "3", "5"])
    same("not odd", found({"Key": "tag-value", "Values": ["!odd"]}), ["0", "2", "4", "6"])
    same("words", found({"Key": "description", "Values": ["seven 4"]}), ["4"])
    same("all", found({"Key": "all", "Values": ["even"]}), ["0", "2", "4", "6"])
    same("nothing", client.list_secrets(Filters=[{"Key": "name", "Values": ["none"]}])["SecretList"], [])
    client.delete_secret(SecretId="boto3/list/0")
    same("without deleted", found(), ["1", "2", "3", "4", "5", "6"])
    same("with deleted", found(IncludePlannedDeletion=True), ["0", "1", "2", "3", "4", "5", "6"])
    refused("ValidationException", client.list_secrets, Filters=[{"Key": "colour", "Values": ["x"]}])
    refused(errors.InvalidNextTokenException, client.list_secrets, NextToken="of nobody")


def secrets_are_read_together():
    batch = client.batch_get_secret_value(SecretIdList=["boto3/list/1", "boto3/list/0", "boto3/absent", "boto3/bytes"])
    values = {value["Name"]: value for value in batch["SecretValues"]}
    same("the names", set(values), {"boto3/list/1", "boto3/bytes"})
    same("a value", values["boto3/list/1"]["SecretString"], "x")
    same("its stages", values["boto3/list/1"]["VersionStages"], ["AWSCURRENT"])
    now("CreatedDate", values["boto3/list/1"]["CreatedDate"])
    codes = {error["SecretId"]: error["ErrorCode"] for error in batch["Errors"]}
    same("the errors", codes, {"boto3/list/0": "InvalidRequestException", "boto3/absent": "ResourceNotFoundException"})
    seen, token = [], {}
    while token is not None:
        filters = [{"Key": "name", "Values": ["boto3/list/"]}]
        page = client.batch_get_secret_value(Filters=filters, MaxResults=4, **token)
        same("no errors", page["Errors"], [])
        seen += [value["Name"] for value in page["SecretValues"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    same("page by page", sorted(seen), ["boto3/list/%d" % number for number in range(1, 7)])
    refused(errors.InvalidParameterException, client.batch_get_secret_value)


def passwords_are_made():
    make = client.get_random_password
    same("the length", len(make()["RandomPassword"]), 32)
    check("lower case", make(ExcludeNumbers=True, ExcludePunctuation=True, ExcludeUppercase=True)["RandomPassword"].islower())
    text = "Password length is too short based on the required types."
    refused(errors.InvalidParameterException, make, text, PasswordLength=2)
    refused("ValidationException", make, PasswordLength=5000)


def rotation_is_configured():
    name = "boto3/rules"
    made = client.create_secret(Name=name, SecretString="no account")
    text = "No Lambda rotation function ARN is associated with this secret."
    refused(errors.InvalidRequestException, client.rotate_secret, text, SecretId=name)
    text = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access "
    text += "to the principal secretsmanager.amazonaws.com."
    nobody = POSTGRES.replace("postgres", "nobody")
    refused("AccessDeniedException", client.rotate_secret, text, SecretId=name, RotationLambdaARN=nobody)
    check("nothing is stored", "RotationEnabled" not in client.describe_secret(SecretId=name))

    client.update_secret(SecretId=name, SecretString=ACCOUNT)
    for rules in [
        {"ScheduleExpression": "rate(10 days)", "AutomaticallyAfterDays": 10},
        {"ScheduleExpression": "rate(1 minute)"},
        {"ScheduleExpression": "cron(61 4 * * ? *)"},
        {"AutomaticallyAfterDays": 10, "Duration": "30h"},
    ]:
        refused(
            errors.InvalidParameterException, client.rotate_secret,
            SecretId=name, RotationLambdaARN=POSTGRES, RotationRules=rules, RotateImmediately=False,
        )
    rotated = client.rotate_secret(
        SecretId=name, RotationLambdaARN=POSTGRES, RotateImmediately=False,
        RotationRules={"ScheduleExpression": "cron(0 16 1,15 * ? *)", "Duration": "2h"},
    )
    same("the ARN", rotated["ARN"], made["ARN"])
    described = client.describe_secret(SecretId=name)
    same("enabled", described["RotationEnabled"], True)
    same("the function", described["RotationLambdaARN"], POSTGRES)
    same("the schedule", described["RotationRules"]["ScheduleExpression"], "cron(0 16 1,15 * ? *)")
    same("the window", described["RotationRules"]["Duration"], "2h")
    window = described["NextRotationDate"].astimezone().utctimetuple()
    same("the window's end", (window.tm_mday in (1, 15), window[3:6]), (True, (17, 59, 59)))
    cancelled = client.cancel_rotate_secret(SecretId=name)
    same("the ARN", cancelled["ARN"], made["ARN"])
    described = client.describe_secret(SecretId=name)
    same("disabled", described["RotationEnabled"], False)
    check("no next date", "NextRotationDate" not in described)
    check("the rest is kept", "RotationRules" in described and "RotationLambdaARN" in described)
    refused(errors.ResourceNotFoundException, client.cancel_rotate_secret, UNKNOWN, SecretId="boto3/absent")


def parameters_are_secrets():
    ssm = parameter_store()
    name = "/aws/reference/secretsmanager/boto3/parameter"
    made = client.create_secret(Name="boto3/parameter", SecretString="one")
    parameter = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    same("the value", (parameter["Name"], parameter["Type"], parameter["Value"]), (name, "SecureString", "one"))
    now("LastModifiedDate", parameter["LastModifiedDate"])
    source = json.loads(parameter["SourceResult"])
    same("the secret", (source["ARN"], source["versionId"]), (made["ARN"], made["VersionId"]))
    second = client.put_secret_value(SecretId="boto3/parameter", SecretString="two")["VersionId"]
    for selector, value in [("", "two"), (":AWSPREVIOUS", "one"), (":" + second, "two")]:
        parameter = ssm.get_parameter(Name=name + selector, WithDecryption=True)["Parameter"]
        same("the value of " + selector, parameter["Value"], value)
    both = ssm.get_parameters(Names=[name, name + "-absent"], WithDecryption=True)
    same("found", [each["Value"] for each in both["Parameters"]], ["two"])
    same("not found", both["InvalidParameters"], [name + "-absent"])
    refused(ssm.exceptions.ParameterNotFound, ssm.get_parameter, Name=name + "-absent", WithDecryption=True)
    refused(ssm.exceptions.ParameterNotFound, ssm.get_parameter, Name="/of/nobody", WithDecryption=True)
    refused("ValidationException", ssm.get_parameter, Name=name)


def statement(principal):
    allow = {"Effect": "Allow", "Principal": principal, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def policies_are_kept():
    name = "boto3/policy"
    client.create_secret(Name=name, SecretString="x")
    mine, everybody = statement({"AWS": "arn:aws:iam::000000000000:root"}), statement("*")
    check("none is no member", "ResourcePolicy" not in client.get_resource_policy(SecretId=name))
    same("stored", client.put_resource_policy(SecretId=name, ResourcePolicy=mine)["Name"], name)
    same("kept", json.loads(client.get_resource_policy(SecretId=name)["ResourcePolicy"]), json.loads(mine))
    refused(
        errors.PublicPolicyException, client.put_resource_policy,
        SecretId=name, ResourcePolicy=everybody, BlockPublicPolicy=True,
    )
    client.put_resource_policy(SecretId=name, ResourcePolicy=everybody)
    for broken in "{", "[]", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}':
        refused(
            errors.MalformedPolicyDocumentException, client.put_resource_policy, SecretId=name, ResourcePolicy=broken
        )
    judged = client.validate_resource_policy(SecretId=name, ResourcePolicy=mine)
    same("passed", (judged["PolicyValidationPassed"], judged["ValidationErrors"]), (True, []))
    judged = client.validate_resource_policy(ResourcePolicy=everybody)
    same("failed", judged["PolicyValidationPassed"], False)
    same("and why", set(judged["ValidationErrors"][0]), {"CheckName", "ErrorMessage"})
    same("deleted", client.delete_resource_policy(SecretId=name)["Name"], name)
    check("none again", "ResourcePolicy" not in client.get_resource_policy(SecretId=name))
    client.delete_resource_policy(SecretId=name)
    client.delete_secret(SecretId=name)
    for call, more in [
        (client.get_resource_policy, {}),
        (client.delete_resource_policy, {}),
        (client.put_resource_policy, {"ResourcePolicy": mine}),
    ]:
        refused(errors.InvalidRequestException, call, MARKED, SecretId=name, **more)
        refused(errors.ResourceNotFoundException, call, UNKNOWN, SecretId="boto3/absent", **more)


def replication_is_reported():
    name = "boto3/replicated"
    made = client.create_secret(Name=name, SecretString="x", AddReplicaRegions=[{"Region": "eu-west-1"}])
    same("the region", [each["Region"] for each in made["ReplicationStatus"]], ["eu-west-1"])
    refused(
        errors.InvalidParameterException, client.replicate_secret_to_regions,
        SecretId=name, AddReplicaRegions=[{"Region": "us-east-1"}],
    )
    asked = client.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "eu-west-2"}])
    check("the region", "eu-west-2" in [each["Region"] for each in asked["ReplicationStatus"]])

    def failed():
        described = client.describe_secret(SecretId=name)
        same("regions", sorted(each["Region"] for each in described["ReplicationStatus"]), ["eu-west-1", "eu-west-2"])
        same("primary", described["PrimaryRegion"], "us-east-1")
        return all(each["Status"] == "Failed" and each["StatusMessage"] for each in described["ReplicationStatus"])

    until("no peer, and it says so", failed)
    remove = client.remove_regions_from_replication
    left = remove(SecretId=name, RemoveReplicaRegions=["eu-west-1"])["ReplicationStatus"]
    same("left", [each["Region"] for each in left], ["eu-west-2"])
    remove(SecretId=name, RemoveReplicaRegions=["eu-west-1", "eu-west-2"])
    check("none", "ReplicationStatus" not in client.describe_secret(SecretId=name))
    try:
        client.stop_replication_to_replica(SecretId=name)
        check("a secret that is no replica cannot leave", False)
    except (errors.InvalidParameterException, errors.InvalidRequestException):
        pass
    refused(errors.ResourceNotFoundException, client.stop_replication_to_replica, UNKNOWN, SecretId="boto3/absent")


AREAS = [
    ("CreateSecret", a_secret_lives_and_dies),
    ("CreateSecret", a_secret_without_a_value),
    ("CreateSecret", bytes_go_both_ways),
    ("CreateSecret", names_and_arns),
    ("UpdateSecretVersionStage", labels_move),
    ("ListSecrets", secrets_are_listed),
    ("BatchGetSecretValue", secrets_are_read_together),
    ("GetRandomPassword", passwords_are_made),
    ("RotateSecret", rotation_is_configured),
    ("PutResourcePolicy", policies_are_kept),
    ("ReplicateSecretToRegions", replication_is_reported),
    ("GetSecretValue", parameters_are_secrets),
]
for operation, area in AREAS:
    if has(client, operation):
        area()
print(json.dumps(sorted(called)))
