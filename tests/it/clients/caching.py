"""AWS's caching client (aws-secretsmanager-caching) reading one secret through a rotation that it asks for itself.

usage: caching.py NAME     prints the values that AWSCURRENT had, in the order in which they were seen, as JSON
"""

import json
import os
import sys
import time

import boto3
from aws_secretsmanager_caching import InjectKeywordedSecretString, InjectSecretString, SecretCache, SecretCacheConfig

name = sys.argv[1]
client = boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"])
asked = []
client.meta.events.register("before-call.secretsmanager", lambda model, **_: asked.append(model.name))


def check(what, holds):
    if not holds:
        raise AssertionError("not so: " + what)


# Refreshed after a second at the latest, instead of an hour.
cache = SecretCache(SecretCacheConfig(secret_refresh_interval=1), client)
first = cache.get_secret_string(name)
seen = [first]
asked.clear()
for _ in range(100):
    check("a cached value is the value", cache.get_secret_string(name) == first)
check("while its labels stay, a value is not fetched again: %s" % asked, "GetSecretValue" not in asked)

rotated = client.rotate_secret(SecretId=name, RotationRules={"AutomaticallyAfterDays": 30})
end = time.time() + 60
while len(seen) == 1:
    value = cache.get_secret_string(name)
    if value != seen[-1]:
        seen.append(value)
    check("the cache sees the rotation within a minute", time.time() < end)
    time.sleep(0.02)

# A while longer: the cache never goes back, and each refresh agrees with what there is.
asked.clear()
while asked.count("DescribeSecret") < 3:
    check("the new value stays", cache.get_secret_string(name) == seen[-1])
    check("refreshed within a minute", time.time() < end)
    time.sleep(0.02)
current = client.get_secret_value(SecretId=name)
check("the version is the rotation's", current["VersionId"] == rotated["VersionId"])
check("the cache has what the server has", current["SecretString"] == seen[-1])
check("the value before is found by its label", cache.get_secret_string(name, "AWSPREVIOUS") == first)


@InjectSecretString(name, cache)
def whole(secret, mine):
    return secret, mine


@InjectKeywordedSecretString(secret_id=name, cache=cache, user="username", password="password")
def parts(user, password):
    return user, password


check("a decorator passes it on", whole("mine") == (seen[-1], "mine"))
value = json.loads(seen[-1])
check("member by member, too", parts() == (value["username"], value["password"]))

client.put_secret_value(SecretId=name, SecretBinary=b"\0\1")
end = time.time() + 60
while cache.get_secret_binary(name) != b"\0\1":
    check("the cache sees bytes within a minute", time.time() < end)
    time.sleep(0.02)
try:
    cache.get_secret_string(name + "-absent")
    check("an unknown secret is an error", False)
except client.exceptions.ResourceNotFoundException:
    pass
print(json.dumps(seen))
