// What the parts of the test share.
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { S3 } from "@aws-sdk/client-s3";

export const counts = { passed: 0, failed: 0 };

export function same(name, got, wanted) {
  if (isDeepStrictEqual(got, wanted)) {
    counts.passed += 1;
  } else {
    counts.failed += 1;
    console.log(`${name}:\n  got    ${JSON.stringify(got)}\n  wanted ${JSON.stringify(wanted)}`);
  }
}

// All names below localhost are this machine.
const agent = new http.Agent({
  keepAlive: true,
  lookup: (host, options, done) => (options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)),
});

export function client(port, keys, more = {}) {
  const credentials = { accessKeyId: keys.access_key_id, secretAccessKey: keys.secret_access_key };
  const s3 = new S3({ endpoint: `http://localhost:${port}`, region: keys.region, forcePathStyle: true, maxAttempts: 1, credentials, requestHandler: { httpAgent: agent }, ...more });
  return s3;
}

// What a call throws, as the SDK tells it.
export async function refusal(call) {
  try {
    await call();
    return { status: 200 };
  } catch (error) {
    if (error.$metadata === undefined) throw error;
    return { status: error.$metadata.httpStatusCode, code: error.Code ?? error.name, message: error.message };
  }
}

export async function refused(name, call, status, code, message) {
  const got = await refusal(call);
  same(name, message === undefined ? [got.status, got.code] : [got.status, got.code, got.message], message === undefined ? [status, code] : [status, code, message]);
}

// A key takes one write a second, and says so.
export async function patiently(call) {
  for (const deadline = Date.now() + 30_000; ; ) {
    try {
      return await call();
    } catch (error) {
      if (error.$metadata?.httpStatusCode !== 429 || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export async function until(condition, deadline = Date.now() + 60_000) {
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function md5(...parts) {
  const hash = createHash("md5");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export const text = async (answer) => (await answer).Body.transformToString();
export const bytes = async (answer) => Buffer.from(await (await answer).Body.transformToByteArray());

// Bytes that tell where they are.
export function pattern(size, seed) {
  const data = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) data.writeUInt32LE((i * 2654435761 + seed) >>> 0, i);
  return data;
}

// The files of bodies that home has, whole or not.
export async function blobs(pop) {
  const folder = path.join(pop.state, "pop-fra", "blobs");
  const all = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return all.filter((one) => one.isFile()).map((one) => path.join(one.parentPath ?? one.path, one.name));
}

export const files = async (pop) => (await blobs(pop)).length;

// Add headers that the SDK has no name for.
export function withHeaders({ port, keys }, headers) {
  const other = client(port, keys);
  other.middlewareStack.add(
    (next) => (args) => {
      Object.assign(args.request.headers, headers);
      return next(args);
    },
    { step: "build" },
  );
  return other;
}

// The headers of a client's answers, as they come.
export function heard(s3, headers) {
  s3.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      Object.assign(headers, answer.response.headers);
      return answer;
    },
    { step: "deserialize", priority: "low" },
  );
  return s3;
}

// A request as it is, without the SDK.
export async function raw(pop, method, target, headers = {}, body = undefined) {
  const answer = await fetch(`http://127.0.0.1:${pop.port}${target}`, { method, headers, body });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

export function code(answer) {
  return [answer.status, /<Code>([^<]*)<\/Code>/.exec(answer.text)?.[1]];
}
