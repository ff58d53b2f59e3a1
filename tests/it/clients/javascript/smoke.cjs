// The AWS SDK for JavaScript: made, read, paged, refused, deleted. Prints the operations that were called, as JSON.

const assert = require("node:assert/strict");
const sdk = require("@aws-sdk/client-secrets-manager");

const client = new sdk.SecretsManagerClient({ region: "us-east-1" });
const called = new Set();
client.middlewareStack.add(
  (next, context) => (args) => {
    called.add(context.commandName.replace(/Command$/, ""));
    return next(args);
  },
  { step: "initialize" },
);
const ask = (name, input = {}) => client.send(new sdk[`${name}Command`](input));

async function refused(kind, name, input, message) {
  const error = await ask(name, input).then(() => assert.fail(`${name} was not refused`), (error) => error);
  if (typeof kind === "string") assert.equal(error.name, kind);
  else assert.ok(error instanceof kind, `${error.name}: ${error.message}`);
  assert.equal(error.$metadata.httpStatusCode, 400);
  if (message) assert.equal(error.message, message);
}

function isNow(date) {
  assert.ok(date instanceof Date && Math.abs(date - new Date()) < 60_000, `${date}`);
}

async function main() {
  const SecretId = "javascript/secret";
  const made = await ask("CreateSecret", { Name: SecretId, SecretString: "first", Tags: [{ Key: "a", Value: "b" }] });
  assert.match(made.ARN, /^arn:aws:secretsmanager:us-east-1:000000000000:secret:javascript\/secret-[A-Za-z0-9]{6}$/);
  assert.match(made.$metadata.requestId, /^[0-9a-f-]{36}$/);
  await refused(sdk.ResourceExistsException, "CreateSecret", { Name: SecretId, SecretString: "x" });

  let value = await ask("GetSecretValue", { SecretId: made.ARN });
  assert.equal(value.SecretString, "first");
  assert.equal(value.SecretBinary, undefined);
  assert.deepEqual(value.VersionStages, ["AWSCURRENT"]);
  isNow(value.CreatedDate);
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  const put = await ask("PutSecretValue", { SecretId, SecretBinary: bytes });
  value = await ask("GetSecretValue", { SecretId });
  assert.deepEqual(Uint8Array.from(value.SecretBinary), bytes);
  assert.equal(value.VersionId, put.VersionId);
  value = await ask("GetSecretValue", { SecretId, VersionStage: "AWSPREVIOUS" });
  assert.equal(value.SecretString, "first");

  await ask("TagResource", { SecretId, Tags: [{ Key: "c", Value: "d" }] });
  await ask("UntagResource", { SecretId, TagKeys: ["a"] });
  await ask("UpdateSecret", { SecretId, Description: "described" });
  const described = await ask("DescribeSecret", { SecretId });
  assert.deepEqual(described.Tags, [{ Key: "c", Value: "d" }]);
  assert.equal(described.Description, "described");
  assert.deepEqual(described.VersionIdsToStages[put.VersionId], ["AWSCURRENT"]);
  isNow(described.LastChangedDate);
  assert.equal(described.LastAccessedDate % 86_400_000, 0);
  const versions = await ask("ListSecretVersionIds", { SecretId });
  assert.equal(versions.Versions.length, 2);

  for (const number of [0, 1, 2]) await ask("CreateSecret", { Name: `javascript/list/${number}`, SecretString: "x" });
  const names = [];
  const filters = { Filters: [{ Key: "name", Values: ["javascript/list/"] }], SortBy: "name", SortOrder: "asc" };
  for await (const page of sdk.paginateListSecrets({ client, pageSize: 2 }, filters)) {
    names.push(page.SecretList.map((entry) => entry.Name));
  }
  assert.deepEqual(names, [["javascript/list/0", "javascript/list/1"], ["javascript/list/2"]]);
  const made2 = await ask("GetRandomPassword", { PasswordLength: 20 });
  assert.equal(made2.RandomPassword.length, 20);

  await refused(sdk.InvalidRequestException, "RotateSecret", { SecretId: "javascript/list/0" },
    "No Lambda rotation function ARN is associated with this secret.");
  await refused(sdk.InvalidNextTokenException, "ListSecrets", { NextToken: "of nobody" });
  await refused("ValidationException", "GetSecretValue", { SecretId: "no blanks" });
  const deleted = await ask("DeleteSecret", { SecretId, RecoveryWindowInDays: 7 });
  assert.ok(deleted.DeletionDate instanceof Date);
  await refused(sdk.InvalidRequestException, "GetSecretValue", { SecretId },
    "You can't perform this operation on the secret because it was marked for deletion.");
  await ask("RestoreSecret", { SecretId });
  await ask("DeleteSecret", { SecretId, ForceDeleteWithoutRecovery: true });
  await refused(sdk.ResourceNotFoundException, "DescribeSecret", { SecretId },
    "Secrets Manager can't find the specified secret.");
  console.log(JSON.stringify([...called]));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
