"""The other ways of signing that botocore has: a session token, a presigned request, and a wrong key.

usage: signatures.py KEY.json     KEY: {"AccessKeyId", "SecretAccessKey", "SessionToken"} of a session
"""

import json
import os
import sys
import urllib.error
import urllib.request

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from suite import check, connect, refused, same

administrator = connect()
administrator.create_secret(Name="boto3/signed", SecretString="read me")


class PresignedBody(SigV4QueryAuth):
    """botocore's presigning of a request whose body stays a body, as the JSON protocol needs it."""

    def _modify_request_before_signing(self, request):
        body, request.data = request.data, b""
        super()._modify_request_before_signing(request)
        request.data = body


def presigned(credentials, body=b'{"SecretId": "boto3/signed"}', sent=None, expires=60):
    url = os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"] + "/"
    headers = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", url, headers, body)
    PresignedBody(credentials, "secretsmanager", "us-east-1", expires).add_auth(request)
    check("signed in the query", "X-Amz-Signature=" in request.url)
    request = urllib.request.Request(request.url, sent or body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def credentials_of(client):
    return client._request_signer._credentials.get_frozen_credentials()


def a_presigned_request_is_taken(client):
    status, answer = presigned(credentials_of(client))
    same("presigned", (status, answer.get("SecretString")), (200, "read me"))
    status, answer = presigned(credentials_of(client), sent=b'{"SecretId": "boto3/other"}')
    same("another body", (status, answer["__type"]), (400, "InvalidSignatureException"))


def a_url_of_boto3s_own_is_verified():
    """generate_presigned_url moves the body into the query, where no service of this protocol looks for it:
    the signature is good, and the empty body is what is refused."""
    url = administrator.generate_presigned_url("get_secret_value", {"SecretId": "boto3/signed"})
    headers = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Content-Type": "application/x-amz-json-1.1"}
    try:
        urllib.request.urlopen(urllib.request.Request(url, b"", headers))
        check("a request without a body is refused", False)
    except urllib.error.HTTPError as error:
        same("the refusal", (error.code, json.load(error)["__type"]), (400, "SerializationException"))


def a_wrong_key_is_refused():
    key = credentials_of(administrator)
    wrong = connect(aws_access_key_id=key.access_key, aws_secret_access_key="x" * 40)
    text = refused("InvalidSignatureException", wrong.get_secret_value, SecretId="boto3/signed")
    check("in AWS's words: " + text, text.startswith("The request signature we calculated does not match"))
    unknown = connect(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x" * 40)
    text = "The security token included in the request is invalid."
    refused("UnrecognizedClientException", unknown.get_secret_value, text, SecretId="boto3/signed")


def a_session_is_taken_with_its_token(key):
    parts = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    session = connect(aws_session_token=key["SessionToken"], **parts)
    same("read", session.get_secret_value(SecretId="boto3/signed")["SecretString"], "read me")
    a_presigned_request_is_taken(session)
    for token in {}, {"aws_session_token": key["SessionToken"][:-4] + "AAAA"}:
        without = connect(**parts, **token)
        refused("UnrecognizedClientException", without.get_secret_value, SecretId="boto3/signed")


a_wrong_key_is_refused()
a_presigned_request_is_taken(administrator)
a_url_of_boto3s_own_is_verified()
a_session_is_taken_with_its_token(json.load(open(sys.argv[1])))
