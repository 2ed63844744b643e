// An object of 5 GiB, uploaded in parts and downloaded through a PoP that is not home: in which memory the nodes do it.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { Upload } from "@aws-sdk/lib-storage";
import { client, pattern, same } from "./check.mjs";

const MIB = 1 << 20;
const SIZE = 5120;
const GROWTH_MAX_MIB = 64;

const field = (pid, name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

// The highest memory of each node from now on.
function watch(pops) {
  const before = pops.map(({ pid }) => {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    return field(pid, "VmRSS");
  });
  return (what) =>
    pops.forEach(({ code, pid }, i) => {
      const growth = field(pid, "VmHWM") - before[i];
      console.log(`${what}: ${code} grew by ${growth.toFixed(1)} MiB, from ${before[i].toFixed(1)} MiB`);
      same(`${code} grows by at most ${GROWTH_MAX_MIB} MiB in the ${what}`, growth <= GROWTH_MAX_MIB, true);
    });
}

async function timed(what, call) {
  const from = Date.now();
  const result = await call();
  const seconds = (Date.now() - from) / 1000;
  console.log(`${what}: ${seconds.toFixed(1)} s, ${(SIZE / seconds).toFixed(0)} MiB/s`);
  return result;
}

export async function large(pops, pop, Bucket) {
  const block = pattern(MIB, 1);
  const sent = createHash("md5");
  const parts = createHash("md5");
  let part = createHash("md5");
  function* body() {
    for (let i = 0; i < SIZE; i++) {
      const data = Buffer.from(block);
      data.writeUInt32LE(i, 0);
      sent.update(data);
      part.update(data);
      if ((i + 1) % 64 === 0) {
        parts.update(part.digest());
        part = createHash("md5");
      }
      yield data;
    }
  }
  const s3 = client(pop.port, pop.keys, { requestChecksumCalculation: "WHEN_REQUIRED", responseChecksumValidation: "WHEN_REQUIRED" });
  const uploading = watch(pops);
  const upload = new Upload({ client: s3, params: { Bucket, Key: "large", Body: Readable.from(body()) }, partSize: 64 * MIB, queueSize: 3 });
  const done = await timed("upload", () => upload.done());
  uploading("upload");
  same("ETag of 5 GiB", done.ETag, `"${parts.digest("hex")}-80"`);
  const downloading = watch(pops);
  const got = await s3.getObject({ Bucket, Key: "large" });
  const received = createHash("md5");
  await timed("download", async () => {
    for await (const data of got.Body) received.update(data);
  });
  downloading("download");
  same("5 GiB", [got.ContentLength, received.digest("hex")], [SIZE * MIB, sent.digest("hex")]);
}
