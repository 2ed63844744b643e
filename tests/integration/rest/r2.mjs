// R2's buckets and objects through the official SDK, at two PoPs that are not their home. `t` has what run.mjs gives:
// account_id, same, refusal, collect, until.
import { createHash, randomBytes } from "node:crypto";

const md5 = (bytes) => createHash("md5").update(bytes).digest("hex");

async function make({ account_id, same, refusal, until }, sin, fra) {
  const api = sin.r2.buckets;
  const made = await api.create({ account_id, name: "photos", locationHint: "apac", storageClass: "InfrequentAccess" });
  same("bucket", { ...made, creation_date: "" }, { name: "photos", creation_date: "", location: "APAC", storage_class: "InfrequentAccess", jurisdiction: "default" });
  same("created", Math.abs(Date.parse(made.creation_date) - Date.now()) < 120_000, true);
  // What was made at one PoP is there at another at once.
  same("get", await fra.r2.buckets.get("photos", { account_id }), made);
  const taken = { type: "ConflictError", status: 409, code: 10004, message: "The bucket you tried to create already exists, and you own it." };
  same("bucket again", await refusal(() => fra.r2.buckets.create({ account_id, name: "photos" }, { maxRetries: 0 })), taken);
  same("a store's name", await refusal(() => fra.r2.buckets.create({ account_id, name: "assets" }, { maxRetries: 0 })), taken);
  for (const name of ["Photos", "ab", "-ab", "a.b", "a".repeat(64), ""]) {
    same(`name ${name}`, (await refusal(() => api.create({ account_id, name }))).code, 10005);
  }
  same("a hint that is none", (await refusal(() => api.create({ account_id, name: "abc", locationHint: "mars" }))).code, 10029);
  same("a class that is none", (await refusal(() => api.create({ account_id, name: "abc", storageClass: "Cold" }))).code, 10029);
  same("default's jurisdiction", (await api.get("photos", { account_id, "cf-r2-jurisdiction": "default" })).name, "photos");
  for (const call of [() => api.get("photos", { account_id, "cf-r2-jurisdiction": "eu" }), () => api.create({ account_id, name: "abc", "cf-r2-jurisdiction": "eu" })]) {
    const refused = await refusal(call);
    same("another jurisdiction", [refused.status, refused.code], [400, 10029]);
  }
  same("edit", (await fra.r2.buckets.edit("photos", { account_id, storage_class: "Standard" })).storage_class, "Standard");
  await until(async () => (await sin.r2.buckets.get("photos", { account_id })).storage_class === "Standard"); // soon, at other PoPs
  await api.edit("photos", { account_id, storage_class: "InfrequentAccess" });
  same("no bucket", await refusal(() => api.get("nope", { account_id })), {
    type: "NotFoundError", status: 404, code: 10006, message: "The specified bucket does not exist." });
}

async function list({ account_id, same, refusal }, sin, fra) {
  const names = ["page-0", "page-1", "page-2"];
  for (const name of names) await fra.r2.buckets.create({ account_id, name });
  const listed = async (query) => (await sin.r2.buckets.list({ account_id, ...query })).buckets.map((one) => one.name);
  same("list", await listed({}), ["assets", ...names, "photos"]);
  same("list, down", await listed({ direction: "desc", order: "name" }), ["photos", ...names.toReversed(), "assets"]);
  same("list of some", await listed({ name_contains: "age-" }), names);
  same("list behind", await listed({ start_after: "page-0" }), ["page-1", "page-2", "photos"]);
  const seen = [];
  for (let cursor; ; ) {
    const page = await sin.r2.buckets.list({ account_id, per_page: 2, cursor }).asResponse().then((response) => response.json());
    seen.push(...page.result.buckets.map((one) => one.name));
    cursor = page.result_info.cursor;
    if (cursor === undefined) break;
  }
  same("pages", seen, ["assets", ...names, "photos"]);
  same("a page of none", (await refusal(() => sin.r2.buckets.list({ account_id, per_page: 0 }))).code, 10029);
  for (const name of names) same("delete", await sin.r2.buckets.delete(name, { account_id }), {});
  same("what is left", (await fra.r2.buckets.list({ account_id })).buckets.map((one) => one.name), ["assets", "photos"]);
}

async function put({ account_id, same, refusal, until }, sin, fra, ask) {
  const at = { account_id, bucket_name: "photos" };
  const key = "a/b ü?%:!.txt";
  const put = await sin.r2.buckets.objects.upload(key, "hallo", at, { headers: {
    "Content-Type": "text/plain", "Cache-Control": "max-age=60", "Content-Disposition": "inline", "Content-Language": "de", Expires: "Wed, 21 Oct 2037 07:28:00 GMT" } });
  same("put", [put.key, put.etag, put.size, put.storage_class, /^[0-9a-f]{32}$/.test(put.version)], [key, md5("hallo"), "5", "InfrequentAccess", true]);
  const got = await fra.r2.buckets.objects.get(key, at);
  same("get at another PoP", await got.text(), "hallo");
  const header = (name) => got.headers.get(name);
  same("its headers", ["content-type", "cache-control", "content-disposition", "content-language", "expires", "etag", "content-length"].map(header),
    ["text/plain", "max-age=60", "inline", "de", "Wed, 21 Oct 2037 07:28:00 GMT", `"${md5("hallo")}"`, "5"]);
  same("when", new Date(header("last-modified")).getTime(), Math.floor(Date.parse(put.uploaded) / 1000) * 1000);
  same("not modified", await refusal(() => fra.r2.buckets.objects.get(key, { ...at, "If-None-Match": `"${md5("hallo")}"` })), {
    type: "APIError", status: 304, code: undefined, message: undefined });
  // wrangler's addresses have the key as it is.
  const plain = await ask(`/accounts/x/r2/buckets/photos/objects/${encodeURI("a/b ü")}%3F%25:!.txt`, { headers: { Range: "bytes=1-3" } });
  same("a range, by wrangler's address", [plain.status, plain.headers.get("content-range"), await plain.text()], [206, "bytes 1-3/5", "all"]);
  const head = await ask(`/accounts/x/r2/buckets/photos/objects/${encodeURIComponent(key)}`, { method: "HEAD" });
  same("head", [head.status, head.headers.get("content-length"), await head.text()], [200, "5", ""]);
  same("no key", await refusal(() => sin.r2.buckets.objects.get("none", at)), {
    type: "NotFoundError", status: 404, code: 10007, message: "The specified key does not exist." });
  same("no bucket", (await refusal(() => sin.r2.buckets.objects.upload("k", "v", { ...at, bucket_name: "nope" }))).code, 10006);
  same("a key that is too long", (await refusal(() => sin.r2.buckets.objects.upload("k".repeat(1025), "v", at))).code, 10020);
  // A key takes one write a second; the second of two that follow at once is over it, wherever they are made.
  let refused;
  await until(async () => {
    refused = await refusal(() => fra.r2.buckets.objects.upload("limited", "v", at, { maxRetries: 0 }));
    return refused.status !== undefined;
  });
  same("two writes at once", refused, {
    type: "RateLimitError", status: 429, code: 10058, message: "Reduce your concurrent request rate for the same object." });
  same("a condition", (await refusal(() => sin.r2.buckets.objects.upload(key, "other", at, { headers: { "If-None-Match": "*" } }))).code, 10031);
  return key;
}

async function stream({ account_id, same }, sin, fra) {
  const at = { account_id, bucket_name: "photos" };
  const bytes = randomBytes(9_000_001);
  const put = await fra.r2.buckets.objects.upload("large", bytes, { ...at, "cf-r2-storage-class": "Standard" });
  same("put bytes", [put.etag, put.size, put.storage_class], [md5(bytes), "9000001", "Standard"]);
  same("get bytes", md5(Buffer.from(await (await sin.r2.buckets.objects.get("large", at)).arrayBuffer())), md5(bytes));
  return md5(bytes);
}

async function objects({ account_id, same, refusal, collect }, sin, fra, key) {
  const at = { account_id, bucket_name: "photos" };
  const all = await collect(sin.r2.buckets.objects.list("photos", { account_id, per_page: 1 }));
  same("objects", all.map((one) => one.key), [key, "large", "limited"]);
  same("one of them", { ...all[0], last_modified: "" }, {
    key, size: 5, etag: md5("hallo"), last_modified: "", custom_metadata: {}, storage_class: "InfrequentAccess", ssec: false,
    http_metadata: { contentType: "text/plain", contentLanguage: "de", contentDisposition: "inline", cacheControl: "max-age=60", cacheExpiry: "2037-10-21T07:28:00.000Z" } });
  const grouped = await fra.r2.buckets.objects.list("photos", { account_id, delimiter: "/", start_after: "a" });
  same("groups", [grouped.result.map((one) => one.key), grouped.result_info.delimited, grouped.result_info.is_truncated], [["large", "limited"], ["a/"], false]);
  same("by a prefix", (await collect(fra.r2.buckets.objects.list("photos", { account_id, prefix: "li" }))).map((one) => one.key), ["limited"]);
  same("a page of too many", (await refusal(() => fra.r2.buckets.objects.list("photos", { account_id, per_page: 1001 }))).code, 10022);
  same("delete", await fra.r2.buckets.objects.delete("limited", at), { key: "limited" });
  same("a deleted one", (await refusal(() => sin.r2.buckets.objects.get("limited", at))).code, 10007);
  same("delete a deleted one", await fra.r2.buckets.objects.delete("limited", at), { key: "limited" });
  same("delete of a bucket that has some", await refusal(() => fra.r2.buckets.delete("photos", { account_id }, { maxRetries: 0 })), {
    type: "ConflictError", status: 409, code: 10008, message: "The bucket you tried to delete is not empty." });
}

// `ask` fetches from Singapore. Gives what `kept` is to find after a restart.
export async function bucketsAndObjects(t, sin, fra, ask) {
  await make(t, sin, fra);
  await list(t, sin, fra);
  const key = await put(t, sin, fra, ask);
  const large = await stream(t, sin, fra);
  await objects(t, sin, fra, key);
  return { key, large };
}

export async function kept({ account_id, same, refusal, until }, sin, fra, { key, large }) {
  const at = { account_id, bucket_name: "photos" };
  same("a bucket after a restart", (await sin.r2.buckets.get("photos", { account_id })).storage_class, "InfrequentAccess");
  same("an object", await (await sin.r2.buckets.objects.get(key, at)).text(), "hallo");
  same("a large one", md5(Buffer.from(await (await fra.r2.buckets.objects.get("large", at)).arrayBuffer())), large);
  for (const one of [key, "large"]) await fra.r2.buckets.objects.delete(one, at);
  same("delete of a bucket", await fra.r2.buckets.delete("photos", { account_id }), {});
  same("of a deleted one", (await refusal(() => sin.r2.buckets.delete("photos", { account_id }))).code, 10006);
  await until(async () => (await refusal(() => sin.r2.buckets.objects.get("large", at))).code === 10006);
  same("the name is free", (await sin.r2.buckets.create({ account_id, name: "photos" })).storage_class, "Standard");
  same("and it is empty", (await fra.r2.buckets.objects.list("photos", { account_id })).result, []);
}
