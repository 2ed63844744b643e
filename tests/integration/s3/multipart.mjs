// Multipart uploads.
import { Readable } from "node:stream";
import { Upload } from "@aws-sdk/lib-storage";
import { bytes, client, md5, pattern, refused, same } from "./check.mjs";

const MIB = 1 << 20;
const hex = (data) => md5(data).toString("hex");
const etagOf = (parts) => `"${md5(...parts.map((part) => md5(part))).toString("hex")}-${parts.length}"`;

async function library({ s3 }, Bucket) {
  const Body = pattern(12 * MIB + 5, 11);
  const parts = [Body.subarray(0, 5 * MIB), Body.subarray(5 * MIB, 10 * MIB), Body.subarray(10 * MIB)];
  for (const [Key, body] of [["multi/buffer", Body], ["multi/stream", Readable.from([Body.subarray(0, 3), Body.subarray(3)])]]) {
    const done = await new Upload({ client: s3, params: { Bucket, Key, Body: body, ContentType: "video/mp4", Metadata: { a: "1" } }, partSize: 5 * MIB, queueSize: 3 }).done();
    same(`ETag of ${Key}`, done.ETag, etagOf(parts));
    const got = await s3.getObject({ Bucket, Key });
    same(`what is told of ${Key}`, [got.ContentLength, got.ContentType, got.Metadata, got.ETag], [Body.length, "video/mp4", { a: "1" }, etagOf(parts)]);
    same(`bytes of ${Key}`, Buffer.compare(await bytes(got), Body), 0);
    const across = await s3.getObject({ Bucket, Key, Range: `bytes=${5 * MIB - 10}-${10 * MIB + 9}` });
    same(`a range across all parts of ${Key}`, Buffer.compare(await bytes(across), Body.subarray(5 * MIB - 10, 10 * MIB + 10)), 0);
    const second = await s3.getObject({ Bucket, Key, PartNumber: 2 });
    same(`part 2 of ${Key}`, [second.$metadata.httpStatusCode, second.PartsCount, second.ContentRange, Buffer.compare(await bytes(second), parts[1])], [206, 3, `bytes ${5 * MIB}-${10 * MIB - 1}/${Body.length}`, 0]);
    same(`head of part 3 of ${Key}`, (await s3.headObject({ Bucket, Key, PartNumber: 3 })).ContentLength, 2 * MIB + 5);
    await refused(`part 4 of ${Key}`, () => s3.getObject({ Bucket, Key, PartNumber: 4 }), 416, "InvalidPartNumber");
    await s3.copyObject({ Bucket: `${Bucket}-made`, Key, CopySource: `${Bucket}/${Key}` });
    same(`a copy of ${Key}, put at once`, (await s3.headObject({ Bucket: `${Bucket}-made`, Key })).ETag, `"${hex(Body)}"`);
  }
}

// One that was interrupted goes on by another client.
async function resumed(pop, Bucket) {
  const Key = "multi/resumed";
  const parts = [pattern(5 * MIB, 21), pattern(5 * MIB, 22), pattern(10, 23)];
  const { UploadId } = await pop.s3.createMultipartUpload({ Bucket, Key, Metadata: { kept: "yes" } });
  const first = await pop.s3.uploadPart({ Bucket, Key, UploadId, PartNumber: 1, Body: pattern(5 * MIB, 20) });
  same("ETag of a part", first.ETag, `"${hex(pattern(5 * MIB, 20))}"`);
  await pop.s3.uploadPart({ Bucket, Key, UploadId, PartNumber: 1, Body: parts[0] });
  const s3 = client(pop.port, pop.keys);
  const uploads = await s3.listMultipartUploads({ Bucket, Prefix: "multi/" });
  same("it is listed", uploads.Uploads.map((one) => [one.Key, one.UploadId]), [[Key, UploadId]]);
  await refused("it is no object yet", () => s3.headObject({ Bucket, Key }), 404, "NotFound");
  await s3.uploadPart({ Bucket, Key, UploadId, PartNumber: 3, Body: parts[2] });
  await s3.uploadPart({ Bucket, Key, UploadId, PartNumber: 2, Body: parts[1] });
  const listed = await s3.listParts({ Bucket, Key, UploadId, MaxParts: 2 });
  same("its parts", [listed.Parts.map((part) => [part.PartNumber, part.Size, part.ETag]), listed.IsTruncated, listed.NextPartNumberMarker], [[[1, 5 * MIB, `"${hex(parts[0])}"`], [2, 5 * MIB, `"${hex(parts[1])}"`]], true, "2"]);
  const rest = await s3.listParts({ Bucket, Key, UploadId, PartNumberMarker: "2" });
  same("its other parts", rest.Parts.map((part) => part.PartNumber), [3]);
  const Parts = [3, 1, 2].map((PartNumber) => ({ PartNumber, ETag: `"${hex(parts[PartNumber - 1])}"` }));
  await refused("a part twice", () => s3.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts: [...Parts, Parts[0]] } }), 400, "InvalidPart");
  await refused("a part with another's ETag", () => s3.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag: first.ETag }] } }), 400, "InvalidPart");
  const done = await s3.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
  same("complete", [done.ETag, done.Bucket, done.Key], [etagOf(parts), Bucket, Key]);
  const got = await s3.getObject({ Bucket, Key });
  same("all of it", [got.Metadata, Buffer.compare(await bytes(got), Buffer.concat(parts))], [{ kept: "yes" }, 0]);
  await refused("its parts are gone", () => s3.listParts({ Bucket, Key, UploadId }), 404, "NoSuchUpload", "The specified multipart upload does not exist.");
}

async function limits({ s3 }, Bucket) {
  const Key = "multi/limits";
  const { UploadId } = await s3.createMultipartUpload({ Bucket, Key });
  const put = async (PartNumber, size) => ({ PartNumber, ETag: (await s3.uploadPart({ Bucket, Key, UploadId, PartNumber, Body: pattern(size, size) })).ETag });
  const complete = (...Parts) => s3.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
  const [small, five, six, nothing] = [await put(1, 1000), await put(2, 5 * MIB), await put(3, 6 * MIB), await put(4, 0)];
  await refused("a part that is too small", () => complete(small, five), 400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.");
  await refused("parts of two sizes", () => complete(five, six, nothing), 400, "InvalidPart");
  await refused("a part that is not there", () => complete(five, { PartNumber: 9, ETag: five.ETag }), 400, "InvalidPart");
  await refused("no parts", () => complete(), 400, "MalformedXML");
  await refused("part 0", () => put(0, 1), 400, "InvalidArgument");
  await refused("part 10001", () => put(10001, 1), 400, "InvalidArgument");
  same("a last part of nothing", (await complete(five, nothing)).ETag, etagOf([pattern(5 * MIB, 5 * MIB), Buffer.alloc(0)]));
  await refused("an upload that is done", () => put(5, 10), 404, "NoSuchUpload");
  await refused("an upload that never was", () => s3.uploadPart({ Bucket, Key, UploadId: "nonsense", PartNumber: 1, Body: Buffer.alloc(30_000) }), 404, "NoSuchUpload");
}

async function aborted({ s3 }, Bucket) {
  const Key = "multi/aborted";
  const { UploadId } = await s3.createMultipartUpload({ Bucket, Key });
  await s3.uploadPart({ Bucket, Key, UploadId, PartNumber: 1, Body: pattern(5 * MIB, 1) });
  same("abort", (await s3.abortMultipartUpload({ Bucket, Key, UploadId })).$metadata.httpStatusCode, 204);
  same("abort again", (await s3.abortMultipartUpload({ Bucket, Key, UploadId })).$metadata.httpStatusCode, 204);
  same("no upload is left", (await s3.listMultipartUploads({ Bucket })).Uploads ?? [], []);
  await refused("nor its parts", () => s3.listParts({ Bucket, Key, UploadId }), 404, "NoSuchUpload");
  await refused("nor an object", () => s3.headObject({ Bucket, Key }), 404, "NotFound");
}

async function copied({ s3 }, Bucket) {
  const source = pattern(11 * MIB, 31);
  for (const from of [Bucket, `${Bucket}-made`]) {
    const Key = `multi/copied from ${from}`;
    await s3.putObject({ Bucket: from, Key: "multi/source", Body: source });
    await s3.putObject({ Bucket: from, Key: "multi/small source", Body: "the end" });
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key });
    const copy = async (PartNumber, key, CopySourceRange) => {
      const CopySource = `${from}/${encodeURIComponent(key)}`;
      return { PartNumber, ETag: (await s3.uploadPartCopy({ Bucket, Key, UploadId, PartNumber, CopySource, CopySourceRange })).CopyPartResult.ETag };
    };
    const Parts = [await copy(1, "multi/source", `bytes=1000-${5 * MIB + 999}`), await copy(2, "multi/source", `bytes=${6 * MIB}-${11 * MIB - 1}`), await copy(3, "multi/small source")];
    await refused("a part of a source that is not there", () => copy(4, "none"), 404, "NoSuchKey");
    await s3.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
    const wanted = Buffer.concat([source.subarray(1000, 5 * MIB + 1000), source.subarray(6 * MIB), Buffer.from("the end")]);
    same(`parts copied from ${from}`, Buffer.compare(await bytes(s3.getObject({ Bucket, Key })), wanted), 0);
  }
}

async function checksums({ s3 }, Bucket) {
  for (const ChecksumAlgorithm of ["CRC32", "SHA256"]) {
    const Key = `multi/${ChecksumAlgorithm}`;
    const body = pattern(10 * MIB, 41);
    const done = await new Upload({ client: s3, params: { Bucket, Key, Body: body, ChecksumAlgorithm }, partSize: 5 * MIB }).done();
    same(`${ChecksumAlgorithm} of the parts'`, /-2$/.test(done[`Checksum${ChecksumAlgorithm}`]), true);
    same(`${ChecksumAlgorithm} is kept`, (await s3.headObject({ Bucket, Key, ChecksumMode: "ENABLED" }))[`Checksum${ChecksumAlgorithm}`], done[`Checksum${ChecksumAlgorithm}`]);
  }
}

export async function multipart(pop, bucket) {
  await library(pop, bucket);
  await resumed(pop, bucket);
  await limits(pop, bucket);
  await aborted(pop, bucket);
  await copied(pop, bucket);
  await checksums(pop, bucket);
}
