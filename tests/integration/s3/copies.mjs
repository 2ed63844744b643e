// Copies within a bucket and between buckets.
import { rm } from "node:fs/promises";
import { blobs, bytes, md5, patiently, pattern, refused, same, text, withHeaders } from "./check.mjs";

export async function copies(pop, Bucket) {
  const { s3 } = pop;
  const other = `${Bucket}-made`;
  const small = pattern(1000, 1);
  const large = pattern(3_000_000, 2);
  const given = { ContentType: "text/css", CacheControl: "no-store", Metadata: { a: "1", b: "2" } };
  await s3.putObject({ Bucket, Key: "from/small ü", Body: small, ...given });
  await s3.putObject({ Bucket, Key: "from/large", Body: large, ...given });
  for (const to of [Bucket, other]) {
    for (const [name, data] of [["small ü", small], ["large", large]]) {
      const Key = `copy/${name}`;
      const CopySource = `${Bucket}/${encodeURIComponent(`from/${name}`)}`;
      const copied = await s3.copyObject({ Bucket: to, Key, CopySource });
      same(`ETag of a copy in ${to}`, copied.CopyObjectResult.ETag, `"${md5(data).toString("hex")}"`);
      const got = await s3.getObject({ Bucket: to, Key });
      same(`bytes of a copy in ${to}`, Buffer.compare(await bytes(got), data), 0);
      same(`metadata of a copy in ${to}`, [got.ContentType, got.CacheControl, got.Metadata], ["text/css", "no-store", { a: "1", b: "2" }]);
      await s3.copyObject({ Bucket: to, Key: `${Key} replaced`, CopySource, MetadataDirective: "REPLACE", ContentType: "text/html", Metadata: { c: "3" } });
      const replaced = await s3.headObject({ Bucket: to, Key: `${Key} replaced` });
      same(`REPLACE in ${to}`, [replaced.ContentType, replaced.CacheControl, replaced.Metadata], ["text/html", undefined, { c: "3" }]);
      const merges = withHeaders(pop, { "x-amz-metadata-directive": "MERGE" });
      await merges.copyObject({ Bucket: to, Key: `${Key} merged`, CopySource, ContentType: "text/html", Metadata: { b: "x", c: "3" } });
      const merged = await s3.headObject({ Bucket: to, Key: `${Key} merged` });
      same(`MERGE in ${to}`, [merged.ContentType, merged.CacheControl, merged.Metadata], ["text/html", "no-store", { a: "1", b: "x", c: "3" }]);
    }
    const CopySource = `${Bucket}/from/large`;
    await refused(`a source condition in ${to}`, () => s3.copyObject({ Bucket: to, Key: "copy/not", CopySource, CopySourceIfMatch: '"other"' }), 412, "PreconditionFailed");
    await refused(`a source condition, the other way, in ${to}`, () => s3.copyObject({ Bucket: to, Key: "copy/not", CopySource, CopySourceIfNoneMatch: `"${md5(large).toString("hex")}"` }), 412, "PreconditionFailed");
    await refused(`a source that is not there, in ${to}`, () => s3.copyObject({ Bucket: to, Key: "copy/not", CopySource: `${Bucket}/none` }), 404, "NoSuchKey");
    const guarded = withHeaders(pop, { "cf-copy-destination-if-none-match": "*" });
    await refused(`a destination condition in ${to}`, () => patiently(() => guarded.copyObject({ Bucket: to, Key: "copy/large", CopySource })), 412, "PreconditionFailed");
    await refused(`nothing was copied in ${to}`, () => s3.headObject({ Bucket: to, Key: "copy/not" }), 404, "NotFound");
  }
  await refused("a source bucket that is not there", () => s3.copyObject({ Bucket, Key: "copy/not", CopySource: "no-such-bucket/k" }), 404, "NoSuchBucket");
  await s3.putObject({ Bucket, Key: "empty", Body: "" });
  await s3.copyObject({ Bucket: other, Key: "empty", CopySource: `${Bucket}/empty` });
  same("a copy of nothing", await text(s3.getObject({ Bucket: other, Key: "empty" })), "");

  // A file that is lost is told of, and is not looked for without end.
  const before = new Set(await blobs(pop));
  await s3.putObject({ Bucket, Key: "lost", Body: large });
  const fresh = (await blobs(pop)).filter((file) => !before.has(file));
  same("a large object is a file", fresh.length, 1);
  await rm(fresh[0]);
  const to = { Bucket: other, Key: "lost" };
  const { UploadId } = await s3.createMultipartUpload(to);
  const soon = () => ({ abortSignal: AbortSignal.timeout(30_000) });
  await refused("a copy of what is lost", () => s3.copyObject({ ...to, CopySource: `${Bucket}/lost` }, soon()), 500, "InternalError");
  await refused("a part of what is lost", () => s3.uploadPartCopy({ ...to, UploadId, PartNumber: 1, CopySource: `${Bucket}/lost` }, soon()), 500, "InternalError");
  await s3.abortMultipartUpload({ ...to, UploadId });
  await s3.deleteObject({ Bucket, Key: "lost" });
}
