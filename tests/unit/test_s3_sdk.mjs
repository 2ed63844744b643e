// Records what the AWS SDK for JavaScript sends: one JSON object a line, {"call", "raw"}, raw being the request's bytes
// as Latin-1. test_s3_sdk.c holds the recording against the library.
//   npm install @aws-sdk/client-s3 @aws-sdk/s3-request-presigner    (in any folder)
//   node test_s3_sdk.mjs FOLDER >test_s3_sdk.jsonl
import { Agent } from "node:http";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const s3 = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

let raw = Buffer.alloc(0);
const complete = (bytes) => {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const head = bytes.subarray(0, end).toString("latin1").toLowerCase();
  const sized = /\r\ncontent-length: (\d+)/.exec(head);
  if (/\r\ntransfer-encoding: chunked/.test(head)) return bytes.subarray(-5).toString() === "0\r\n\r\n";
  return bytes.length >= end + 4 + (sized ? Number(sized[1]) : 0);
};
const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    if (/\r\nexpect: 100-continue/i.test(bytes.toString("latin1"))) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    raw = Buffer.concat([raw, bytes]);
    if (complete(raw)) socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const port = server.address().port;

const config = {
  region: "auto",
  endpoint: `http://127.0.0.1:${port}`,
  forcePathStyle: true,
  credentials: { accessKeyId: "popsim-test-key", secretAccessKey: "popsim-test-secret" },
  maxAttempts: 1,
};
const client = new s3.S3Client(config);
const plain = new s3.S3Client({ ...config, requestChecksumCalculation: "WHEN_REQUIRED" });
// BUCKET.localhost need not resolve where this runs.
const lookup = (name, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
const hosted = new s3.S3Client({ ...config, endpoint: `http://localhost:${port}`, forcePathStyle: false,
  requestHandler: { httpAgent: new Agent({ lookup }) } });

const record = (call) => {
  // What says nothing but which machine recorded it, and is not signed.
  const text = raw.toString("latin1").replace(/\r\nuser-agent: [^\r]*/i, "");
  console.log(JSON.stringify({ call, raw: text }));
  raw = Buffer.alloc(0);
};
const send = async (call, command, by = client) => {
  await by.send(command).catch((e) => process.env.SHOW && console.error(call, e)); // the empty answer is no answer to some
  record(call);
};
const Bucket = "assets";
const at = { Bucket, Key: "dir/a b+é%~'.txt" };
const stream = () => Readable.from([Buffer.from("hello "), Buffer.from("stream")], { objectMode: false });
const keys = [{ Key: "a&b<c>" }, { Key: "é" }];
const parts = [{ PartNumber: 1, ETag: '"0123456789abcdef0123456789abcdef"' }, { PartNumber: 2, ETag: "fedcba9876543210fedcba9876543210" }];
const UploadId = "00112233445566778899aabbccddeeff";

await send("ListBuckets", new s3.ListBucketsCommand({}));
await send("CreateBucket", new s3.CreateBucketCommand({ Bucket }));
await send("HeadBucket", new s3.HeadBucketCommand({ Bucket }));
await send("DeleteBucket", new s3.DeleteBucketCommand({ Bucket }));
await send("GetBucketLocation", new s3.GetBucketLocationCommand({ Bucket }));
await send("GetBucketEncryption", new s3.GetBucketEncryptionCommand({ Bucket }));
await send("GetBucketVersioning", new s3.GetBucketVersioningCommand({ Bucket }));
await send("PutBucketCors", new s3.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules: [
  { AllowedOrigins: ["https://a.example"], AllowedMethods: ["GET", "PUT"], AllowedHeaders: ["*"], ExposeHeaders: ["ETag"], MaxAgeSeconds: 60 }] } }));
await send("GetBucketCors", new s3.GetBucketCorsCommand({ Bucket }));
await send("DeleteBucketCors", new s3.DeleteBucketCorsCommand({ Bucket }));
await send("PutBucketLifecycleConfiguration", new s3.PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules: [
  { ID: "r", Status: "Enabled", Filter: { Prefix: "logs/" }, Expiration: { Days: 3 }, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 } }] } }));
await send("GetBucketLifecycleConfiguration", new s3.GetBucketLifecycleConfigurationCommand({ Bucket }));
await send("ListObjects", new s3.ListObjectsCommand({ Bucket, Prefix: "d ir/", Delimiter: "/", MaxKeys: 7, Marker: "m" }));
await send("ListObjectsV2", new s3.ListObjectsV2Command({ Bucket, Prefix: "p", EncodingType: "url", StartAfter: "s", ContinuationToken: "t/=" }));
await send("ListMultipartUploads", new s3.ListMultipartUploadsCommand({ Bucket, Prefix: "p", KeyMarker: "k", MaxUploads: 3 }));
await send("GetObject", new s3.GetObjectCommand({ ...at, Range: "bytes=0-4", IfNoneMatch: '"e"' }));
await send("HeadObject", new s3.HeadObjectCommand(at));
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: "hello", ContentType: "text/plain", CacheControl: "max-age=60", Metadata: { one: "1", two: "z" }, Expires: new Date(1e12), IfNoneMatch: "*" }));
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: "hello" }), plain);
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: stream(), ContentLength: 12 }));
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: stream(), ContentLength: 12, ChecksumAlgorithm: "SHA256", StorageClass: "STANDARD_IA" }));
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: "hello", ChecksumAlgorithm: "CRC32C" }));
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: "hello", SSECustomerAlgorithm: "AES256", SSECustomerKey: Buffer.alloc(32, 7) }));
await send("PutObject", new s3.PutObjectCommand({ ...at, Body: "hosted" }), hosted);
await send("CopyObject", new s3.CopyObjectCommand({ ...at, CopySource: "assets/other%20key", MetadataDirective: "REPLACE", CopySourceIfMatch: '"e"', ContentType: "text/css" }));
await send("DeleteObject", new s3.DeleteObjectCommand(at));
await send("DeleteObjects", new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects: keys, Quiet: true } }));
await send("CreateMultipartUpload", new s3.CreateMultipartUploadCommand({ ...at, ContentType: "x/y", Metadata: { m: "v" } }));
await send("UploadPart", new s3.UploadPartCommand({ ...at, UploadId, PartNumber: 2, Body: "part" }));
await send("UploadPart", new s3.UploadPartCommand({ ...at, UploadId, PartNumber: 3, Body: stream(), ContentLength: 12 }));
await send("UploadPartCopy", new s3.UploadPartCopyCommand({ ...at, UploadId, PartNumber: 4, CopySource: "/assets/src", CopySourceRange: "bytes=5-9" }));
await send("ListParts", new s3.ListPartsCommand({ ...at, UploadId, MaxParts: 5, PartNumberMarker: "1" }));
await send("CompleteMultipartUpload", new s3.CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: parts } }));
await send("AbortMultipartUpload", new s3.AbortMultipartUploadCommand({ ...at, UploadId }));
await send("GetObjectTagging", new s3.GetObjectTaggingCommand(at));
await send("PutBucketPolicy", new s3.PutBucketPolicyCommand({ Bucket, Policy: "{}" }));

const fetchUrl = async (call, command, options) => {
  const url = await getSignedUrl(client, command, { expiresIn: 300 });
  await fetch(url, options).catch(() => {});
  record(call);
};
await fetchUrl("GetObject", new s3.GetObjectCommand(at), {});
await fetchUrl("PutObject", new s3.PutObjectCommand(at), { method: "PUT", body: "by url" });
await fetchUrl("HeadObject", new s3.HeadObjectCommand(at), { method: "HEAD" });
await fetchUrl("DeleteObject", new s3.DeleteObjectCommand(at), { method: "DELETE" });
server.close();
process.exit(0);
