// Objects that are put at once.
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { bytes, files, md5, patiently, pattern, refusal, refused, same, text, until } from "./check.mjs";

const etag = (data) => `"${md5(data).toString("hex")}"`;

async function bodies(pop, Bucket) {
  const { s3 } = pop;
  for (const size of [0, 1, 16384, 16385, 1_000_003, 8_388_608]) {
    const Body = pattern(size, size);
    const put = await s3.putObject({ Bucket, Key: `body/${size}`, Body });
    same(`ETag of ${size} bytes`, put.ETag, etag(Body));
    const got = await s3.getObject({ Bucket, Key: `body/${size}` });
    same(`${size} bytes`, Buffer.compare(await bytes(got), Body), 0);
    same(`what is told of ${size} bytes`, [got.ContentLength, got.ETag, got.AcceptRanges, got.ContentType], [size, etag(Body), "bytes", "application/octet-stream"]);
  }
  const data = pattern(300_000, 5);
  await s3.putObject({ Bucket, Key: "streamed", Body: Readable.from([data.subarray(0, 7), data.subarray(7)]), ContentLength: data.length });
  same("a stream, in aws-chunked with a trailer", Buffer.compare(await bytes(s3.getObject({ Bucket, Key: "streamed" })), data), 0);
  // All of the object is there long before the trailer: nothing counts before that one.
  const before = await files(pop);
  async function* slowly() {
    yield data;
    await until(async () => (await files(pop)) > before);
    for (let i = 0; i < 10; i++) await s3.headObject({ Bucket, Key: "streamed" });
  }
  const put = await s3.putObject({ Bucket, Key: "slow trailer", Body: Readable.from(slowly()), ContentLength: data.length });
  same("a trailer that comes late", [put.ETag, Buffer.compare(await bytes(s3.getObject({ Bucket, Key: "slow trailer" })), data)], [etag(data), 0]);
  same("Content-Encoding is without aws-chunked", (await s3.headObject({ Bucket, Key: "streamed" })).ContentEncoding, undefined);
}

async function metadata({ s3 }, Bucket) {
  const Expires = new Date("2030-01-02T03:04:05Z");
  const given = {
    ContentType: "text/plain; charset=utf-8",
    CacheControl: "max-age=60",
    ContentDisposition: 'attachment; filename="a.txt"',
    ContentEncoding: "identity",
    ContentLanguage: "de",
    Metadata: { one: "1", two: "zwei" },
    StorageClass: "STANDARD_IA",
  };
  await s3.putObject({ Bucket, Key: "meta/é ü/?&", Body: "hello", Expires, ...given });
  const head = await s3.headObject({ Bucket, Key: "meta/é ü/?&" });
  same("metadata", Object.fromEntries(Object.keys(given).map((name) => [name, head[name]])), given);
  same("Expires", head.ExpiresString, "Wed, 02 Jan 2030 03:04:05 GMT");
  await s3.putObject({ Bucket, Key: "page.html", Body: "<p>" });
  same("no type was given", (await s3.headObject({ Bucket, Key: "page.html" })).ContentType, "application/octet-stream");
  await refused("another storage class", () => s3.putObject({ Bucket, Key: "k", Body: "", StorageClass: "GLACIER" }), 400, "InvalidStorageClass");
  await refused("too much metadata", () => s3.putObject({ Bucket, Key: "k", Body: "", Metadata: { x: "y".repeat(9000) } }), 400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.");
  await refused("a key that is too long", () => s3.putObject({ Bucket, Key: "k".repeat(1025), Body: "" }), 400, "InvalidObjectName");
  await refused("tagging", () => s3.putObject({ Bucket, Key: "k", Body: "", Tagging: "a=b" }), 501, "NotImplemented");
  await refused("object's tagging", () => s3.getObjectTagging({ Bucket, Key: "page.html" }), 501, "NotImplemented", "GetObjectTagging not implemented");
  await refused("object's ACL", () => s3.getObjectAcl({ Bucket, Key: "page.html" }), 501, "NotImplemented");
  await refused("object's attributes", () => s3.getObjectAttributes({ Bucket, Key: "page.html", ObjectAttributes: ["ETag"] }), 501, "NotImplemented");
  await refused("bucket owner", () => s3.getObject({ Bucket, Key: "page.html", ExpectedBucketOwner: "1" }), 501, "NotImplemented");
}

async function ranges({ s3 }, Bucket) {
  const Body = pattern(100_000, 3);
  for (const Key of ["range/small", "range/large"]) {
    const data = Key === "range/small" ? Body.subarray(0, 1000) : Body;
    await s3.putObject({ Bucket, Key, Body: data });
    for (const [Range, from, to] of [["bytes=0-0", 0, 0], ["bytes=10-99", 10, 99], ["bytes=900-", 900, data.length - 1], ["bytes=-7", data.length - 7, data.length - 1], ["bytes=5-99999999", 5, data.length - 1]]) {
      const got = await s3.getObject({ Bucket, Key, Range });
      same(`${Key} ${Range}`, [got.$metadata.httpStatusCode, got.ContentRange, got.ContentLength], [206, `bytes ${from}-${to}/${data.length}`, to - from + 1]);
      same(`bytes of ${Key} ${Range}`, Buffer.compare(await bytes(got), data.subarray(from, to + 1)), 0);
    }
    await refused("a range behind the end", () => s3.getObject({ Bucket, Key, Range: `bytes=${data.length}-` }), 416, "InvalidRange");
    await refused("a suffix of nothing", () => s3.getObject({ Bucket, Key, Range: "bytes=-0" }), 416, "InvalidRange");
    await refused("a range that is none", () => s3.getObject({ Bucket, Key, Range: "bytes=a-b" }), 400, "InvalidArgument", "range must be in format 'bytes=start-end', 'bytes=start-' or 'bytes=-suffix'.'");
    await refused("two ranges", () => s3.getObject({ Bucket, Key, Range: "bytes=0-1,3-4" }), 400, "InvalidArgument");
    await refused("a range backwards", () => s3.getObject({ Bucket, Key, Range: "bytes=9-1" }), 400, "InvalidArgument", "range must be positive.");
    same("the first part of one that has none", (await s3.getObject({ Bucket, Key, PartNumber: 1 })).ContentLength, data.length);
    // Not among what R2 has of GetObject: its own headers stay.
    const own = await s3.getObject({ Bucket, Key, ResponseContentType: "text/css", ResponseContentDisposition: "attachment", ResponseCacheControl: "no-store" });
    same("response-*", [own.ContentLength, own.ContentType, own.ContentDisposition, own.CacheControl], [data.length, "application/octet-stream", undefined, undefined]);
  }
}

async function conditions({ s3 }, Bucket) {
  const Key = "conditional";
  const { ETag } = await s3.putObject({ Bucket, Key, Body: "one" });
  const { LastModified } = await s3.headObject({ Bucket, Key });
  const before = new Date(LastModified.getTime() - 60_000);
  const after = new Date(LastModified.getTime() + 60_000);
  const held = { IfMatch: ETag, IfNoneMatch: '"other"', IfModifiedSince: before, IfUnmodifiedSince: after };
  for (const [name, value] of Object.entries(held)) {
    same(`GET ${name} holds`, await text(s3.getObject({ Bucket, Key, [name]: value })), "one");
    same(`HEAD ${name} holds`, (await s3.headObject({ Bucket, Key, [name]: value })).ContentLength, 3);
  }
  const failing = { IfMatch: ['"other"', 412], IfNoneMatch: [ETag, 304], IfModifiedSince: [LastModified, 304], IfUnmodifiedSince: [before, 412] };
  for (const [name, [value, status]] of Object.entries(failing)) {
    same(`GET ${name} fails`, (await refusal(() => s3.getObject({ Bucket, Key, [name]: value }))).status, status);
    same(`HEAD ${name} fails`, (await refusal(() => s3.headObject({ Bucket, Key, [name]: value }))).status, status);
  }
  same("both fail", (await refusal(() => s3.getObject({ Bucket, Key, IfMatch: '"other"', IfNoneMatch: ETag }))).status, 412);
  const message = "At least one of the pre-conditions you specified did not hold.";
  await refused("PUT If-None-Match: *", () => patiently(() => s3.putObject({ Bucket, Key, Body: "two", IfNoneMatch: "*" })), 412, "PreconditionFailed", message);
  await refused("PUT If-Match of another", () => patiently(() => s3.putObject({ Bucket, Key, Body: "two", IfMatch: '"other"' })), 412, "PreconditionFailed", message);
  await refused("PUT If-Match of none", () => s3.putObject({ Bucket, Key: "conditional/none", Body: "two", IfMatch: ETag }), 412, "PreconditionFailed");
  const now = await patiently(() => s3.putObject({ Bucket, Key, Body: "two", IfMatch: ETag }));
  same("PUT If-Match", await text(s3.getObject({ Bucket, Key })), "two");
  await refused("PUT If-Match of the former", () => patiently(() => s3.putObject({ Bucket, Key, Body: Buffer.alloc(60_000), IfMatch: ETag })), 412, "PreconditionFailed");
  same("PUT If-None-Match: * of none", (await s3.putObject({ Bucket, Key: "conditional/new", Body: "x", IfNoneMatch: "*" })).$metadata.httpStatusCode, 200);
  same("and it is as it was", (await s3.headObject({ Bucket, Key })).ETag, now.ETag);
}

async function checksums({ s3 }, Bucket) {
  const Body = pattern(40_000, 9);
  for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
    const name = `Checksum${ChecksumAlgorithm}`;
    const Key = `checksum/${ChecksumAlgorithm}`;
    let put;
    try {
      put = await s3.putObject({ Bucket, Key, Body, ChecksumAlgorithm });
    } catch (error) {
      if (ChecksumAlgorithm !== "CRC64NVME") throw error; // the SDK needs a package for it
      continue;
    }
    const got = await s3.getObject({ Bucket, Key, ChecksumMode: "ENABLED" }); // which the SDK compares
    same(name, [typeof put[name], got[name]], ["string", put[name]]);
    same(`bytes with ${name}`, Buffer.compare(await bytes(got), Body), 0);
  }
  const sha256 = (data) => createHash("sha256").update(data).digest("base64");
  same("SHA-256 as it was given", (await s3.putObject({ Bucket, Key: "checksum/given", Body, ChecksumSHA256: sha256(Body) })).ChecksumSHA256, sha256(Body));
  await refused("a SHA-256 that is wrong", () => s3.putObject({ Bucket, Key: "checksum/wrong", Body, ChecksumSHA256: sha256("other") }), 400, "BadDigest");
  await refused("an MD5 that is wrong", () => s3.putObject({ Bucket, Key: "checksum/wrong", Body, ContentMD5: md5("other").toString("base64") }), 400, "BadDigest");
  await refused("an MD5 that is none", () => s3.putObject({ Bucket, Key: "checksum/wrong", Body, ContentMD5: "x" }), 400, "InvalidDigest");
  await refused("nothing was stored", () => s3.getObject({ Bucket, Key: "checksum/wrong" }), 404, "NoSuchKey", "The specified key does not exist.");
}

async function customersKey({ s3 }, Bucket) {
  const key = randomBytes(32);
  const own = { SSECustomerAlgorithm: "AES256", SSECustomerKey: key.toString("base64"), SSECustomerKeyMD5: md5(key).toString("base64") };
  await s3.putObject({ Bucket, Key: "ssec", Body: "secret", ...own });
  same("with the key", await text(s3.getObject({ Bucket, Key: "ssec", ...own })), "secret");
  same("without the key", (await refusal(() => s3.getObject({ Bucket, Key: "ssec" }))).status, 400);
  const other = randomBytes(32);
  const wrong = { ...own, SSECustomerKey: other.toString("base64"), SSECustomerKeyMD5: md5(other).toString("base64") };
  same("with another key", (await refusal(() => s3.getObject({ Bucket, Key: "ssec", ...wrong }))).status, 403);
}

async function lists({ s3 }, Bucket) {
  const keys = ["list/a", "list/b/1", "list/b/2", "list/c d", "list/e/1", "list/é"];
  for (const Key of keys) await s3.putObject({ Bucket, Key, Body: Key });
  const names = (answer) => (answer.Contents ?? []).map((one) => one.Key);
  const groups = (answer) => (answer.CommonPrefixes ?? []).map((one) => one.Prefix);
  const all = await s3.listObjectsV2({ Bucket, Prefix: "list/" });
  same("V2", [names(all), all.KeyCount, all.IsTruncated], [keys, 6, false]);
  same("sizes", all.Contents.map((one) => one.Size), keys.map((key) => Buffer.byteLength(key)));
  const grouped = await s3.listObjectsV2({ Bucket, Prefix: "list/", Delimiter: "/" });
  same("with a delimiter", [names(grouped), groups(grouped), grouped.KeyCount], [["list/a", "list/c d", "list/é"], ["list/b/", "list/e/"], 5]);
  const pages = [];
  for (let ContinuationToken; ; ) {
    const page = await s3.listObjectsV2({ Bucket, Prefix: "list/", Delimiter: "/", MaxKeys: 2, ContinuationToken });
    pages.push([...names(page), ...groups(page)].sort());
    ContinuationToken = page.NextContinuationToken;
    if (!page.IsTruncated) break;
  }
  same("pages", pages, [["list/a", "list/b/"], ["list/c d", "list/e/"], ["list/é"]]);
  same("start-after", names(await s3.listObjectsV2({ Bucket, Prefix: "list/", StartAfter: "list/c d" })), ["list/e/1", "list/é"]);
  same("encoding-type", names(await s3.listObjectsV2({ Bucket, Prefix: "list/c", EncodingType: "url" })), ["list%2Fc%20d"]);
  const one = await s3.listObjects({ Bucket, Prefix: "list/", Delimiter: "/", MaxKeys: 2 });
  same("V1", [names(one), groups(one), one.IsTruncated, one.NextMarker], [["list/a"], ["list/b/"], true, "list/b/"]);
  same("marker", names(await s3.listObjects({ Bucket, Prefix: "list/", Marker: "list/c d" })), ["list/e/1", "list/é"]);
  same("max-keys 0", [(await s3.listObjectsV2({ Bucket, MaxKeys: 0 })).IsTruncated, (await s3.listObjectsV2({ Bucket, MaxKeys: 0 })).KeyCount], [true, 0]);
  await refused("max-keys below 0", () => s3.listObjectsV2({ Bucket, MaxKeys: -1 }), 400, "InvalidMaxKeys", "MaxKeys params must be positive integer <= 1000.");
}

async function deletes({ s3 }, Bucket) {
  await s3.putObject({ Bucket, Key: "gone", Body: "x" });
  same("delete", (await s3.deleteObject({ Bucket, Key: "gone" })).$metadata.httpStatusCode, 204);
  same("delete again", (await s3.deleteObject({ Bucket, Key: "gone" })).$metadata.httpStatusCode, 204);
  await refused("it is gone", () => s3.getObject({ Bucket, Key: "gone" }), 404, "NoSuchKey");
  await refused("head of what is gone", () => s3.headObject({ Bucket, Key: "gone" }), 404, "NotFound");
  const many = Array.from({ length: 1000 }, (_, i) => ({ Key: `many/${i} <&>` }));
  await Promise.all(many.slice(0, 20).map(({ Key }) => s3.putObject({ Bucket, Key, Body: "x" })));
  same("they are there", (await s3.listObjectsV2({ Bucket, Prefix: "many/" })).KeyCount, 20);
  same("delete 1000", (await s3.deleteObjects({ Bucket, Delete: { Objects: many } })).Deleted.length, 1000);
  same("they are gone", (await s3.listObjectsV2({ Bucket, Prefix: "many/" })).KeyCount, 0);
  await refused("delete 1001", () => s3.deleteObjects({ Bucket, Delete: { Objects: [...many, { Key: "x" }] } }), 400, "MalformedXML");
  await refused("delete none", () => s3.deleteObjects({ Bucket, Delete: { Objects: [] } }), 400, "MalformedXML");
}

export async function objects(pop, bucket) {
  await bodies(pop, bucket);
  await metadata(pop, bucket);
  await ranges(pop, bucket);
  await conditions(pop, bucket);
  await checksums(pop, bucket);
  await customersKey(pop, bucket);
  await lists(pop, bucket);
  await deletes(pop, bucket);
}

// What was written anywhere is what is read everywhere, at once.
export async function strong(pops, Bucket) {
  for (let i = 0; i < 30; i++) {
    const Key = `strong/${i}`;
    const writer = pops[i % pops.length];
    const Body = pattern(i % 2 === 0 ? 100 : 70_000, i);
    await writer.s3.putObject({ Bucket, Key, Body });
    for (const pop of pops) {
      same(`${pop.code} reads what ${writer.code} wrote`, Buffer.compare(await bytes(pop.s3.getObject({ Bucket, Key })), Body), 0);
      same(`${pop.code} lists what ${writer.code} wrote`, (await pop.s3.listObjectsV2({ Bucket, Prefix: Key })).KeyCount >= 1, true);
    }
    await pops[(i + 1) % pops.length].s3.deleteObject({ Bucket, Key });
    for (const pop of pops) await refused(`${pop.code} after the delete`, () => pop.s3.headObject({ Bucket, Key }), 404, "NotFound");
  }
}
