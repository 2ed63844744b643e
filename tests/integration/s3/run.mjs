// The AWS SDK, unmodified, against the S3 ports of a live cluster: every operation of R2's compatibility table that it
// can call, at home and at a PoP that is not home, and R2's answers where they differ from S3's.
//   node run.mjs POPSIM_BINARY
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { buckets, cluster } from "./buckets.mjs";
import { client, counts, refusal, same, until } from "./check.mjs";
import { copies } from "./copies.mjs";
import { large } from "./long.mjs";
import { multipart } from "./multipart.mjs";
import { objects, strong } from "./objects.mjs";
import { signatures } from "./signatures.mjs";

const run = promisify(execFile);
const popsim = process.argv[2];
const state = await mkdtemp(path.join(tmpdir(), "popsim-s3-"));
const options = ["--state", state];

async function status() {
  return JSON.parse((await run(popsim, ["status", "--json", ...options])).stdout);
}

// Put the clock of a cluster that is down forward.
async function later(days) {
  const file = path.join(state, "cluster.json");
  const text = await readFile(file, "utf8");
  const base = /"base_ns":(\d+)/.exec(text);
  await writeFile(file, text.replace(base[0], `"base_ns":${BigInt(base[1]) + BigInt(days) * 86_400_000_000_000n}`), { mode: 0o600 });
}

await run(popsim, ["up", "--detach", "--quiet", ...options, "--port", "0", "--pops", "fra,ams,lhr,syd", "--store", "SHARED_ASSETS=r2", "--latency", "none", "--write-limit", "off"]);
try {
  const first = await status();
  const pops = first.nodes.map((node) => ({ code: node.pop, pid: node.pid, port: node.s3_port, s3: client(node.s3_port, first.s3), keys: first.s3, state }));
  const [home, ams, lhr, syd] = pops; // Sydney is far: what is read there waits for the way
  same("the store is a bucket", (await home.s3.listBuckets({})).Buckets.map((one) => one.Name), ["shared-assets"]);
  for (const pop of [home, lhr]) {
    const bucket = `test-${pop.code}`;
    await pop.s3.createBucket({ Bucket: bucket });
    await buckets(pop, bucket);
    await objects(pop, bucket);
    await copies(pop, bucket);
    await multipart(pop, bucket);
    await signatures(pop, bucket);
  }
  await strong([home, ams, lhr], "shared-assets");
  await cluster([home, ams, syd]);
  if (process.env.POPSIM_LONG === "1") await large(pops, syd, "shared-assets");

  // Keys, buckets, settings and objects outlive the processes.
  await ams.s3.putObject({ Bucket: "test-lhr", Key: "kept", Body: "kept" });
  const { UploadId } = await lhr.s3.createMultipartUpload({ Bucket: "test-lhr", Key: "old/upload" });
  await lhr.s3.uploadPart({ Bucket: "test-lhr", Key: "old/upload", UploadId, PartNumber: 1, Body: "x" });
  const forgotten = { Bucket: "shared-assets", Key: "forgotten" };
  forgotten.UploadId = (await syd.s3.createMultipartUpload(forgotten)).UploadId;
  await syd.s3.uploadPart({ ...forgotten, PartNumber: 1, Body: "x" });
  for (const Key of ["old/object", "new/object"]) await lhr.s3.putObject({ Bucket: "test-lhr", Key, Body: "x" });
  const Rules = [
    { ID: "objects", Status: "Enabled", Filter: { Prefix: "old/" }, Expiration: { Days: 1 } },
    { ID: "uploads", Status: "Enabled", Filter: { Prefix: "old/" }, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } },
    { ID: "not yet", Status: "Enabled", Filter: { Prefix: "new/" }, Expiration: { Days: 3 } },
    { ID: "off", Status: "Disabled", Filter: { Prefix: "new/" }, Expiration: { Days: 1 } },
  ];
  await lhr.s3.putBucketLifecycleConfiguration({ Bucket: "test-lhr", LifecycleConfiguration: { Rules } });
  await run(popsim, ["down", ...options]);
  await later(2);
  await run(popsim, ["up", "--detach", "--quiet", ...options]);
  const second = await status();
  same("the key pair is kept", second.s3, first.s3);
  same("the ports are kept", second.nodes.map((node) => node.s3_port), first.nodes.map((node) => node.s3_port));
  const again = client(syd.port, second.s3);
  same("an object is kept", await (await again.getObject({ Bucket: "test-lhr", Key: "kept" })).Body.transformToString(), "kept");
  const old = { Bucket: "test-lhr", Prefix: "old/" };
  await until(async () => (await again.listObjectsV2(old)).KeyCount === 0 && ((await again.listMultipartUploads(old)).Uploads ?? []).length === 0);
  same("what is not old enough", (await again.listObjectsV2({ Bucket: "test-lhr", Prefix: "new/" })).KeyCount, 1);
  same("an upload that is not old", (await again.listParts(forgotten)).Parts.length, 1);
  same("a setting is kept", (await again.getBucketCors({ Bucket: "settings" })).CORSRules[0].AllowedMethods, ["GET"]);
  same("a bucket that was deleted", (await refusal(() => again.getBucketLocation({ Bucket: "test-gone" }))).code, "NoSuchBucket");
  await run(popsim, ["down", ...options]);
  await later(6);
  await run(popsim, ["up", "--detach", "--quiet", ...options]);
  await until(async () => (await refusal(() => again.listParts(forgotten)))?.code === "NoSuchUpload"); // it is 8 days old
} catch (error) {
  console.log(error);
  counts.failed += 1;
  console.log((await run(popsim, ["logs", ...options])).stdout.split("\n").slice(-60).join("\n"));
} finally {
  await run(popsim, ["down", "--clean", ...options]).catch(() => {});
  await rm(state, { recursive: true, force: true });
}
console.log(`${counts.passed} checks passed, ${counts.failed} failed`);
process.exit(counts.failed > 0 || counts.passed < 100 ? 1 : 0);
