// SPDX-License-Identifier: Apache-2.0
// A job worker on the AWS SDK for JavaScript: makes the calls it is given and prints one JSON answer per line.
//
//   node worker.mjs URL CALLS
//
// CALLS is a JSON list of [operation, request]. In a request "$name" stands for what an earlier answer was
// kept as; a third element keeps parts of the answer: {"name": "path.0.to.it"}.
import * as sdk from "@aws-sdk/client-codepipeline";

const [url, calls] = process.argv.slice(2);
const client = new sdk.CodePipelineClient({
  endpoint: url,
  region: "us-east-1",
  credentials: { accessKeyId: "AKIAWORKER", secretAccessKey: "any" },
  maxAttempts: 1,
});
const kept = {};

function filled(value) {
  if (typeof value === "string" && value.startsWith("$")) return kept[value.slice(1)];
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT.*Z$/.test(value)) return new Date(value);
  if (Array.isArray(value)) return value.map(filled);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, filled(inner)]));
  return value;
}

for (const [operation, request, keep] of JSON.parse(calls)) {
  let outcome;
  try {
    const { $metadata, ...answer } = await client.send(new sdk[`${operation}Command`](filled(request)));
    outcome = { status: $metadata.httpStatusCode, answer };
    for (const [name, path] of Object.entries(keep ?? {}))
      kept[name] = path.split(".").reduce((inner, part) => inner[part], answer);
  } catch (error) {
    // A modelled error is an instance of its own class.
    const modelled = typeof sdk[error.name] === "function" && error instanceof sdk[error.name];
    outcome = { status: error.$metadata?.httpStatusCode, error: error.name, modelled, message: error.message };
  }
  console.log(JSON.stringify({ operation, ...outcome }));
}
