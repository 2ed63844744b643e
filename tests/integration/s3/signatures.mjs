// Who may ask: keys, signatures, presigned URLs, clocks.
import http from "node:http";
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { client, code, files, pattern, raw, refused, same, text, until } from "./check.mjs";

async function presigned({ s3 }, Bucket) {
  const Key = "presigned/ü &";
  const sign = (Command, input = {}, options = {}) => getSignedUrl(s3, new Command({ Bucket, Key, ...input }), { expiresIn: 300, ...options });
  const put = await fetch(await sign(PutObjectCommand), { method: "PUT", body: pattern(50_000, 1) });
  same("presigned PUT", put.status, 200);
  const got = await fetch(await sign(GetObjectCommand));
  same("presigned GET", Buffer.compare(Buffer.from(await got.arrayBuffer()), pattern(50_000, 1)), 0);
  same("staleness is told", [got.headers.get("popsim-stale-ms"), got.headers.get("popsim-behind"), got.headers.get("popsim-lsn") === got.headers.get("popsim-latest-lsn")], ["0.000000", "0", true]);
  same("presigned HEAD", (await fetch(await sign(HeadObjectCommand), { method: "HEAD" })).headers.get("content-length"), "50000");
  const past = { signingDate: new Date(Date.now() - 3600_000) };
  const answer = async (url, options) => {
    const got = await fetch(url, options);
    return code({ status: got.status, text: await got.text() });
  };
  for (const [Command, method] of [[GetObjectCommand, "GET"], [PutObjectCommand, "PUT"], [DeleteObjectCommand, "DELETE"]]) {
    same(`an expired ${method}`, await answer(await sign(Command, {}, past), { method, body: method === "PUT" ? "x" : undefined }), [403, "ExpiredRequest"]);
  }
  same("an expired HEAD", (await fetch(await sign(HeadObjectCommand, {}, past), { method: "HEAD" })).status, 403);
  const url = new URL(await sign(GetObjectCommand));
  url.searchParams.set("X-Amz-Expires", "301");
  same("a tampered expiry", await answer(url), [403, "SignatureDoesNotMatch"]);
  same("another key", await answer((await sign(GetObjectCommand)).replace("presigned/", "presigned2/")), [403, "SignatureDoesNotMatch"]);
  same("another method", await answer(await sign(GetObjectCommand), { method: "DELETE" }), [403, "SignatureDoesNotMatch"]);
  const without = new URL(await sign(GetObjectCommand));
  without.searchParams.delete("X-Amz-Date");
  same("no date", await answer(without), [400, "InvalidArgument"]);
  same("too long a time", await answer((await sign(GetObjectCommand)).replace("X-Amz-Expires=300", "X-Amz-Expires=604801")), [400, "InvalidArgument"]);
  same("presigned DELETE", (await fetch(await sign(DeleteObjectCommand), { method: "DELETE" })).status, 204);
  same("it is gone", await answer(await sign(GetObjectCommand)), [404, "NoSuchKey"]);
}

async function headers(pop, Bucket) {
  const { s3, port, keys } = pop;
  const before = await files(pop);
  const Body = pattern(3_000_000, 7);
  const wrong = client(port, { ...keys, secret_access_key: "0".repeat(64) });
  await refused("another secret", () => wrong.putObject({ Bucket, Key: "forged", Body }), 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your secret access key and signing method.");
  await refused("another key", () => client(port, { ...keys, access_key_id: "f".repeat(32) }).putObject({ Bucket, Key: "forged", Body }), 401, "Unauthorized", "Unauthorized");
  await refused("another secret, a bucket that is not there", () => wrong.getObject({ Bucket: "no-such-bucket", Key: "k" }), 403, "SignatureDoesNotMatch");
  await refused("a clock that is wrong", () => client(port, keys, { systemClockOffset: -3600_000 }).putObject({ Bucket, Key: "forged", Body }), 403, "RequestTimeTooSkewed");
  const changes = client(port, keys);
  changes.middlewareStack.add((next) => (args) => next({ ...args, request: Object.assign(args.request, { body: pattern(3_000_000, 8) }) }), { step: "finalizeRequest", priority: "low", name: "changes" });
  await refused("other bytes than were signed", () => changes.putObject({ Bucket, Key: "forged", Body }), 400, "XAmzContentSHA256Mismatch");
  const plain = client(port, keys, { requestChecksumCalculation: "WHEN_REQUIRED" });
  await plain.putObject({ Bucket, Key: "plain", Body: "plain" });
  same("without a checksum", await text(s3.getObject({ Bucket, Key: "plain" })), "plain");
  await refused("nothing was stored", () => s3.headObject({ Bucket, Key: "forged" }), 404, "NotFound");
  same("nothing is left", await files(pop), before);
}

// A client that goes away in the middle of its body leaves nothing.
async function brokenOff({ s3, state }, Bucket) {
  const before = await files({ state });
  const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "broken off" }), { expiresIn: 300 });
  const request = http.request(url, { method: "PUT", headers: { "content-length": 10_000_000 } });
  request.on("error", () => {});
  request.write(pattern(3_000_000, 1));
  await until(async () => (await files({ state })) > before);
  request.destroy();
  await until(async () => (await files({ state })) === before);
  await refused("it is not there", () => s3.headObject({ Bucket, Key: "broken off" }), 404, "NotFound");
}

async function unsigned(pop, Bucket) {
  same("no signature", code(await raw(pop, "GET", `/${Bucket}/k`)), [400, "InvalidArgument"]);
  same("a form", code(await raw(pop, "POST", `/${Bucket}`, {}, "x")), [501, "NotImplemented"]);
  same("the account, with another method", code(await raw(pop, "PUT", "/")), [404, "RouteNotFound"]);
  same("a preflight without rules", (await raw(pop, "OPTIONS", `/${Bucket}/k`, { origin: "https://a.example", "access-control-request-method": "GET" })).status, 403);
  const head = await raw(pop, "HEAD", `/${Bucket}/k`);
  same("HEAD without a signature", [head.status, head.text], [400, ""]);
}

export async function signatures(pop, bucket) {
  await presigned(pop, bucket);
  await headers(pop, bucket);
  await brokenOff(pop, bucket);
  await unsigned(pop, bucket);
}
