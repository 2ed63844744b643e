// Buckets and what is set on them.
import { client, heard, patiently, raw, refused, same, withHeaders } from "./check.mjs";

const names = (answer) => answer.Buckets.map((one) => one.Name);

async function settings({ s3 }, Bucket) {
  same("encryption", (await s3.getBucketEncryption({ Bucket })).ServerSideEncryptionConfiguration.Rules, [
    { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" }, BucketKeyEnabled: true },
  ]);
  const aes = (SSEAlgorithm) => ({ Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm } }] });
  await s3.putBucketEncryption({ Bucket, ServerSideEncryptionConfiguration: aes("AES256") });
  await refused("other encryption", () => s3.putBucketEncryption({ Bucket, ServerSideEncryptionConfiguration: aes("aws:kms") }), 501, "NotImplemented");

  await refused("no CORS", () => s3.getBucketCors({ Bucket }), 404, "NoSuchCORSConfiguration");
  const CORSRules = [{ AllowedMethods: ["GET", "PUT"], AllowedOrigins: ["https://app.example"], AllowedHeaders: ["x-*"], ExposeHeaders: ["ETag"], MaxAgeSeconds: 600 }];
  await s3.putBucketCors({ Bucket, CORSConfiguration: { CORSRules } });
  same("CORS", (await s3.getBucketCors({ Bucket })).CORSRules, CORSRules);
  await refused("CORS that is none", () => s3.putBucketCors({ Bucket, CORSConfiguration: { CORSRules: [] } }), 400, "MalformedXML");
  await s3.deleteBucketCors({ Bucket });
  await refused("CORS is deleted", () => s3.getBucketCors({ Bucket }), 404, "NoSuchCORSConfiguration");

  await refused("no lifecycle", () => s3.getBucketLifecycleConfiguration({ Bucket }), 404, "NoSuchLifecycleConfiguration");
  const Rules = [
    { ID: "logs", Status: "Enabled", Filter: { Prefix: "logs/" }, Expiration: { Days: 7 } },
    { ID: "uploads", Status: "Enabled", Filter: { Prefix: "" }, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 3 } },
  ];
  await s3.putBucketLifecycleConfiguration({ Bucket, LifecycleConfiguration: { Rules } });
  same("lifecycle", (await s3.getBucketLifecycleConfiguration({ Bucket })).Rules.map((rule) => [rule.ID, rule.Filter?.Prefix ?? rule.Prefix, rule.Expiration?.Days, rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation]), [
    ["logs", "logs/", 7, undefined],
    ["uploads", "", undefined, 3],
  ]);
  const expiry = (answer) => {
    const [, date, rule] = /^expiry-date="(.*)", rule-id="(.*)"$/.exec(answer.Expiration ?? "") ?? [];
    return [Date.parse(date), rule];
  };
  const due = async (Key) => (await s3.headObject({ Bucket, Key })).LastModified.getTime() + 7 * 86_400_000;
  const written = await s3.putObject({ Bucket, Key: "logs/due", Body: "x" });
  same("a put tells when it expires", expiry(written), [await due("logs/due"), "logs"]);
  same("and a get", expiry(await s3.getObject({ Bucket, Key: "logs/due" })), [await due("logs/due"), "logs"]);
  const copied = await s3.copyObject({ Bucket, Key: "logs/copy", CopySource: `${Bucket}/logs/due` });
  same("and a copy", expiry(copied), [await due("logs/copy"), "logs"]);
  same("others do not expire", (await s3.putObject({ Bucket, Key: "kept", Body: "x" })).Expiration, undefined);
  for (const Key of ["logs/due", "logs/copy", "kept"]) await s3.deleteObject({ Bucket, Key });
  await s3.deleteBucketLifecycle({ Bucket });
  await refused("lifecycle is deleted", () => s3.getBucketLifecycleConfiguration({ Bucket }), 404, "NoSuchLifecycleConfiguration");
}

// What every bucket says, and what none does.
async function fixed({ s3 }, Bucket) {
  same("versioning", (await s3.getBucketVersioning({ Bucket })).Status, undefined);
  await refused("tagging", () => s3.getBucketTagging({ Bucket }), 404, "NoSuchTagSet");
  await refused("object lock", () => s3.getObjectLockConfiguration({ Bucket }), 404, "ObjectLockConfigurationNotFoundError");
  await refused("replication", () => s3.getBucketReplication({ Bucket }), 404, "ReplicationConfigurationNotFoundError");
  same("ACL", (await s3.getBucketAcl({ Bucket })).Grants.length, 1);
  await refused("policy", () => s3.getBucketPolicy({ Bucket }), 501, "NotImplemented", "GetBucketPolicy not implemented");
  await refused("website", () => s3.getBucketWebsite({ Bucket }), 501, "NotImplemented", "GetBucketWebsite not implemented");
  await refused("versions", () => s3.listObjectVersions({ Bucket }), 501, "NotImplemented", "ListObjectVersions not implemented");
  await refused("put versioning", () => s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: "Enabled" } }), 501, "NotImplemented", "PutBucketVersioning not implemented");
  await refused("put tagging", () => s3.putBucketTagging({ Bucket, Tagging: { TagSet: [] } }), 501, "NotImplemented");
}

export async function buckets(pop, Bucket) {
  const { s3 } = pop;
  same("head", (await s3.headBucket({ Bucket })).BucketRegion, "auto");
  await refused("head of none", () => s3.headBucket({ Bucket: "no-such-bucket" }), 404, "NotFound");
  same("location", (await s3.getBucketLocation({ Bucket })).LocationConstraint, "WEUR");
  await refused("create again", () => s3.createBucket({ Bucket }), 409, "BucketAlreadyOwnedByYou");
  await refused("create what a store is", () => s3.createBucket({ Bucket: "shared-assets" }), 409, "BucketAlreadyOwnedByYou");
  await refused("a name that is none", () => s3.createBucket({ Bucket: "Not_A_Name" }), 400, "InvalidBucketName", "The specified bucket name is not valid.");
  await refused("a region that is none", () => s3.createBucket({ Bucket: "x-y-z", CreateBucketConfiguration: { LocationConstraint: "moon" } }), 400, "InvalidRegionName");
  await refused("list in none", () => s3.listObjectsV2({ Bucket: "no-such-bucket" }), 404, "NoSuchBucket", "The specified bucket does not exist.");
  await settings(pop, Bucket);
  await fixed(pop, Bucket);

  const sydney = `${Bucket}-oc`;
  await s3.createBucket({ Bucket: sydney, CreateBucketConfiguration: { LocationConstraint: "oc" } });
  same("a bucket in a region", (await s3.getBucketLocation({ Bucket: sydney })).LocationConstraint, "OC");
  await s3.putObject({ Bucket: sydney, Key: "k", Body: Buffer.alloc(100_000, 1) });
  await refused("delete one that is not empty", () => s3.deleteBucket({ Bucket: sydney }), 409, "BucketNotEmpty", "The bucket you tried to delete is not empty.");
  await s3.deleteObject({ Bucket: sydney, Key: "k" });
  await s3.deleteBucket({ Bucket: sydney });
  await refused("delete one that is not there", () => s3.deleteBucket({ Bucket: sydney }), 404, "NoSuchBucket");
  await refused("put into one that is not there", () => s3.putObject({ Bucket: sydney, Key: "k", Body: Buffer.alloc(100_000) }), 404, "NoSuchBucket");

  const made = `${Bucket}-made`;
  const makes = withHeaders(pop, { "cf-create-bucket-if-missing": "true" });
  await makes.putObject({ Bucket: made, Key: "k", Body: Buffer.alloc(50_000, 2) });
  same("a put makes the bucket", (await s3.headObject({ Bucket: made, Key: "k" })).ContentLength, 50_000);
  const { UploadId } = await makes.createMultipartUpload({ Bucket: `${made}-2`, Key: "k" });
  await refused("delete one with an upload", () => s3.deleteBucket({ Bucket: `${made}-2` }), 409, "BucketNotEmpty");
  await s3.abortMultipartUpload({ Bucket: `${made}-2`, Key: "k", UploadId });
  await s3.deleteBucket({ Bucket: `${made}-2` });
}

// What one PoP does, others see at once.
export async function cluster([home, ams, syd]) {
  for (let i = 0; i < 5; i++) {
    await syd.s3.createBucket({ Bucket: `paged-${i}` });
    same("made elsewhere", (await ams.s3.headBucket({ Bucket: `paged-${i}` })).BucketRegion, "auto");
  }
  same("listed elsewhere", names(await home.s3.listBuckets({ Prefix: "paged-" })), ["paged-0", "paged-1", "paged-2", "paged-3", "paged-4"]);
  const page = withHeaders(ams, { "cf-prefix": "paged-", "cf-max-keys": "2", "cf-start-after": "paged-0" });
  const first = await page.listBuckets({});
  same("a page", names(first), ["paged-1", "paged-2"]);
  const told = {};
  await heard(withHeaders(ams, { "cf-prefix": "paged-", "cf-max-keys": "2" }), told).listBuckets({});
  same("there is more", [told["cf-is-truncated"], typeof told["cf-next-continuation-token"]], ["true", "string"]);
  const rest = withHeaders(ams, { "cf-prefix": "paged-", "cf-continuation-token": told["cf-next-continuation-token"] });
  same("the rest", names(await rest.listBuckets({})), ["paged-2", "paged-3", "paged-4"]);

  await home.s3.createBucket({ Bucket: "settings" });
  await syd.s3.putBucketCors({ Bucket: "settings", CORSConfiguration: { CORSRules: [{ AllowedMethods: ["GET"], AllowedOrigins: ["https://app.example"] }] } });
  same("a setting, elsewhere", (await ams.s3.getBucketCors({ Bucket: "settings" })).CORSRules[0].AllowedMethods, ["GET"]);
  const asks = (origin, method) => raw(ams, "OPTIONS", "/settings/k", { origin, "access-control-request-method": method });
  const allowed = await asks("https://app.example", "GET");
  same("a preflight", [allowed.status, allowed.headers.get("access-control-allow-origin")], [204, "https://app.example"]);
  same("a preflight that fails", (await asks("https://other.example", "GET")).status, 403);
  const answer = {};
  await heard(withHeaders(ams, { origin: "https://app.example" }), answer).listObjectsV2({ Bucket: "settings" });
  same("CORS on an answer", answer["access-control-allow-origin"], "https://app.example");

  await home.s3.createBucket({ Bucket: "test-gone" });
  await patiently(() => syd.s3.putObject({ Bucket: "test-gone", Key: "k", Body: "v" }));
  await ams.s3.deleteObject({ Bucket: "test-gone", Key: "k" });
  await ams.s3.deleteBucket({ Bucket: "test-gone" });

  const virtual = client(syd.port, syd.keys, { forcePathStyle: false });
  await virtual.putObject({ Bucket: "shared-assets", Key: "virtual host", Body: "v" });
  same("the bucket in the host's name", await (await ams.s3.getObject({ Bucket: "shared-assets", Key: "virtual host" })).Body.transformToString(), "v");
}
