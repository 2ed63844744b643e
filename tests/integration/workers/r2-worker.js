// Uses every method of an R2 binding and says what it saw. Runs in real workerd. HOME and AWAY are one bucket at its home
// and at a PoP that is not home; where one binding is all that there can be, FILES is the latter. RATED has R2's limit of writes to a key.
const checks = [];
const MIB = 1 << 20;
let HOME;
let AWAY;

function same(name, got, wanted) {
  const a = JSON.stringify(got);
  const b = JSON.stringify(wanted);
  checks.push({ name, ok: a === b, got: a, wanted: b });
}

async function failure(name, run, wanted) {
  try {
    await run();
    same(name, "no error", wanted);
  } catch (error) {
    same(name, error.message, wanted);
  }
}

const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const digest = async (algorithm, bytes) => hex(await crypto.subtle.digest(algorithm, bytes));
const encode = (text) => new TextEncoder().encode(text);

// Bytes that differ at every place where a wrong offset would show.
function pattern(size, salt = 0) {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + salt, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

// A stream of `count` chunks, of a known length, hashed as it passes.
async function putStreamed(bucket, key, chunk, count) {
  const { readable, writable } = new FixedLengthStream(chunk.length * count);
  const hash = new crypto.DigestStream("SHA-256");
  const put = bucket.put(key, readable);
  const writer = writable.getWriter();
  const hasher = hash.getWriter();
  for (let i = 0; i < count; i++) {
    await writer.write(chunk);
    await hasher.write(chunk);
  }
  await Promise.all([writer.close(), hasher.close()]);
  return { object: await put, sha256: hex(await hash.digest) };
}

async function hashOf(stream) {
  const hash = new crypto.DigestStream("SHA-256");
  await stream.pipeTo(hash);
  return hex(await hash.digest);
}

async function objects(bucket, name) {
  const key = `${name}/plain`;
  const put = await bucket.put(key, "hello", {
    httpMetadata: { contentType: "text/plain", contentLanguage: "de", contentDisposition: "inline", contentEncoding: "identity",
      cacheControl: "max-age=60", cacheExpiry: new Date(1_900_000_000_000) },
    customMetadata: { who: "jürgen", n: "1" },
  });
  same("put: its fields", [put.key, put.size, put.etag, put.httpEtag, put.storageClass],
    [key, 5, "5d41402abc4b2a76b9719d911017c592", "\"5d41402abc4b2a76b9719d911017c592\"", "Standard"]);
  same("put: a version, and just now", [/^[0-9a-f]{32}$/.test(put.version), Math.abs(Date.now() - put.uploaded.getTime()) < 600_000], [true, true]);
  const got = await bucket.get(key);
  same("get: the version put", [got.version, got.uploaded.getTime()], [put.version, put.uploaded.getTime()]);
  same("get: text", await got.text(), "hello");
  same("get: httpMetadata", got.httpMetadata, { contentType: "text/plain", contentLanguage: "de", contentDisposition: "inline",
    contentEncoding: "identity", cacheControl: "max-age=60", cacheExpiry: new Date(1_900_000_000_000) });
  same("get: customMetadata", got.customMetadata, { who: "jürgen", n: "1" });
  same("get: md5", got.checksums.toJSON(), { md5: "5d41402abc4b2a76b9719d911017c592" });
  const head = await bucket.head(key);
  same("head: as get", [head.version, head.size, head.httpMetadata.contentType, head.customMetadata.n, "body" in head],
    [put.version, 5, "text/plain", "1", false]);
  const headers = new Headers();
  got.writeHttpMetadata(headers);
  same("writeHttpMetadata", headers.get("cache-control"), "max-age=60");
  same("get of nothing", await bucket.get(`${name}/absent`), null);
  same("head of nothing", await bucket.head(`${name}/absent`), null);
  await bucket.put(`${name}/headers`, "x", { httpMetadata: new Headers({ "content-type": "image/png", "cache-control": "no-store" }) });
  same("httpMetadata as Headers", (await bucket.head(`${name}/headers`)).httpMetadata, { contentType: "image/png", cacheControl: "no-store" });
  for (const odd of ["a/b", "100%", "q?x#y", "plus+sign", "späce key", "\u{1F600}", "a&b=c", "\"<>\\^`{|}", "del\u007f", "tab\tnl\n", "k".repeat(1000)]) {
    await bucket.put(`${name}/odd/${odd}`, `value of ${odd}`);
    same(`odd key ${odd.slice(0, 20)}`, await (await bucket.get(`${name}/odd/${odd}`)).text(), `value of ${odd}`);
  }
  for (const [kind, value] of [["ArrayBuffer", pattern(300).buffer], ["view", pattern(300)], ["Blob", new Blob([pattern(300)])]]) {
    await bucket.put(`${name}/kind`, value);
    same(`put of a ${kind}`, hex(await (await bucket.get(`${name}/kind`)).arrayBuffer()), hex(pattern(300)));
  }
  await bucket.put(`${name}/null`, null);
  same("put of null", [(await bucket.head(`${name}/null`)).size, await (await bucket.get(`${name}/null`)).text()], [0, ""]);
  await bucket.put(`${name}/copy`, (await bucket.get(key)).body);
  same("put of a get's body", await (await bucket.get(`${name}/copy`)).text(), "hello");
  await bucket.put(`${name}/json`, JSON.stringify({ a: [1, 2] }));
  same("get: json", await (await bucket.get(`${name}/json`)).json(), { a: [1, 2] });
  await bucket.put(`${name}/cold`, "x", { storageClass: "InfrequentAccess" });
  same("storageClass", [(await bucket.head(`${name}/cold`)).storageClass, (await bucket.get(`${name}/cold`)).storageClass],
    ["InfrequentAccess", "InfrequentAccess"]);
}

async function checksums(bucket, name) {
  const bytes = encode("checked");
  for (const [field, algorithm] of [["sha1", "SHA-1"], ["sha256", "SHA-256"], ["sha384", "SHA-384"], ["sha512", "SHA-512"], ["md5", "MD5"]]) {
    const good = await digest(algorithm, bytes);
    await bucket.put(`${name}/sum`, bytes, { [field]: good });
    same(`${field}: kept`, (await bucket.head(`${name}/sum`)).checksums.toJSON()[field], good);
    const bad = await digest(algorithm, encode("other"));
    await failure(`${field}: another one is refused`, () => bucket.put(`${name}/bad`, bytes, { [field]: bad }),
      `put: The ${field === "md5" ? "MD5" : `SHA-${field.slice(3)}`} checksum you specified did not match what we received.\n` +
      `You provided a ${field === "md5" ? "MD5" : `SHA-${field.slice(3)}`} checksum with value: ${bad}\nActual ` +
      `${field === "md5" ? "MD5" : `SHA-${field.slice(3)}`} was: ${good} (10037)`);
  }
  const large = pattern(100_000);
  await bucket.put(`${name}/sum`, large, { sha256: await digest("SHA-256", large) });
  same("sha256 of a large object", (await bucket.head(`${name}/sum`)).checksums.toJSON().sha256, await digest("SHA-256", large));
  let refused = "";
  try {
    await bucket.put(`${name}/bad`, large, { sha256: await digest("SHA-256", bytes) });
  } catch (error) {
    refused = error.message.slice(-7);
  }
  same("a wrong one of a large object", [refused, await bucket.head(`${name}/bad`)], ["(10037)", null]);
}

async function ranges(bucket, name) {
  for (const [size, what] of [[1000, "small"], [200_000, "large"]]) {
    const key = `${name}/range/${what}`;
    const bytes = pattern(size);
    await bucket.put(key, bytes);
    for (const [range, from, to] of [[{ offset: 10, length: 5 }, 10, 15], [{ offset: 990 }, 990, size], [{ length: 7 }, 0, 7], [{ suffix: 3 }, size - 3, size],
      [{ offset: size - 1, length: 500 }, size - 1, size], [new Headers({ range: "bytes=20-29" }), 20, 30]]) {
      const got = await bucket.get(key, { range });
      same(`${what}: range ${JSON.stringify(range)}`, [hex(await got.arrayBuffer()), got.range, got.size],
        [hex(bytes.slice(from, to)), { offset: from, length: to - from }, size]);
    }
    await failure(`${what}: a range behind the end`, () => bucket.get(key, { range: { offset: size + 1 } }),
      "get: The requested range is not satisfiable (10039)");
  }
}

async function conditions(bucket, name) {
  const key = `${name}/condition`;
  const first = await bucket.put(key, "one");
  const before = new Date(first.uploaded.getTime() - 10_000);
  const after = new Date(first.uploaded.getTime() + 10_000);
  const holds = async (onlyIf) => "body" in (await bucket.get(key, { onlyIf }));
  for (const [onlyIf, wanted] of [[{ etagMatches: first.etag }, true], [{ etagMatches: "other" }, false], [{ etagMatches: "*" }, true],
    [{ etagDoesNotMatch: first.etag }, false], [{ etagDoesNotMatch: "other" }, true], [{ uploadedBefore: after }, true], [{ uploadedBefore: before }, false],
    [{ uploadedAfter: before }, true], [{ uploadedAfter: after }, false], [new Headers({ "if-match": first.httpEtag }), true],
    [new Headers({ "if-none-match": first.httpEtag }), false], [new Headers({ "if-modified-since": after.toUTCString() }), false],
    [new Headers({ "if-unmodified-since": before.toUTCString() }), false]]) {
    const shown = JSON.stringify(onlyIf instanceof Headers ? [...onlyIf] : onlyIf);
    same(`get onlyIf ${shown}`, await holds(onlyIf), wanted);
  }
  const failed = await bucket.get(key, { onlyIf: { etagMatches: "other" } });
  same("a get whose condition fails tells of the object", [failed.version, failed.size, failed.body], [first.version, 3, undefined]);
  same("put: condition fails", await bucket.put(key, "two", { onlyIf: { etagMatches: "other" } }), null);
  same("put: nothing was stored", await (await bucket.get(key)).text(), "one");
  same("put of a large value: condition fails", await bucket.put(key, pattern(300_000), { onlyIf: { etagDoesNotMatch: "*" } }), null);
  const second = await bucket.put(key, "two", { onlyIf: { etagMatches: first.etag } });
  same("put: condition holds", [second !== null, await (await bucket.get(key)).text()], [true, "two"]);
  same("put unless it is there", await bucket.put(key, "three", { onlyIf: new Headers({ "if-none-match": "*" }) }), null);
  same("put where nothing is", (await bucket.put(`${key}/new`, "new", { onlyIf: { etagDoesNotMatch: "*" } })).size, 3);
}

async function secrets(bucket, name) {
  const ssecKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
  const put = await bucket.put(`${name}/secret`, "secret", { ssecKey });
  same("ssec: put", put.ssecKeyMd5, await digest("MD5", Uint8Array.from(ssecKey.match(/../g), (byte) => parseInt(byte, 16))));
  same("ssec: get with the key", await (await bucket.get(`${name}/secret`, { ssecKey })).text(), "secret");
  for (const [with_, options] of [["no", {}], ["another", { ssecKey: ssecKey.replace("00", "ff") }]]) {
    let code = "it was given";
    try {
      await bucket.get(`${name}/secret`, options);
    } catch (error) {
      code = error.message.replace(/^.*\(/s, "(");
    }
    same(`ssec: get with ${with_} key is refused`, /^\(\d+\)$/.test(code), true);
  }
}

async function multipart(bucket, name) {
  const key = `${name}/parts`;
  const parts = [pattern(5 * MIB, 1), pattern(5 * MIB, 2), pattern(1000, 3)];
  const upload = await bucket.createMultipartUpload(key, { httpMetadata: { contentType: "video/mp4" }, customMetadata: { a: "b" } });
  same("multipart: not there before it is complete", await bucket.head(key), null);
  const resumed = bucket.resumeMultipartUpload(key, upload.uploadId);
  const done = [];
  for (const [i, part] of parts.entries()) done.push(await resumed.uploadPart(i + 1, part));
  const md5s = await Promise.all(parts.map((part) => crypto.subtle.digest("MD5", part)));
  same("multipart: parts' ETags", done.map((part) => part.etag), md5s.map(hex));
  const object = await upload.complete(done.toReversed());
  const joined = new Uint8Array(48);
  md5s.forEach((md5, i) => joined.set(new Uint8Array(md5), 16 * i));
  same("multipart: etag, size", [object.etag, object.size], [`${await digest("MD5", joined)}-3`, 10 * MIB + 1000]);
  const got = await bucket.get(key);
  same("multipart: metadata", [got.httpMetadata, got.customMetadata, got.checksums.toJSON()], [{ contentType: "video/mp4" }, { a: "b" }, {}]);
  same("multipart: the bytes", await hashOf(got.body), await digest("SHA-256", new Uint8Array(await new Blob(parts).arrayBuffer())));
  const across = await bucket.get(key, { range: { offset: 5 * MIB - 10, length: 20 } });
  same("multipart: a range across parts", hex(await across.arrayBuffer()), hex(parts[0].slice(-10)) + hex(parts[1].slice(0, 10)));
  await failure("multipart: complete twice", () => upload.complete(done),
    "completeMultipartUpload: The specified multipart upload does not exist. (10024)");
  const given = await bucket.createMultipartUpload(`${key}/aborted`);
  await given.uploadPart(1, "x");
  await given.abort();
  await failure("multipart: a part of what was aborted", () => given.uploadPart(2, "x"),
    "uploadPart: The specified multipart upload does not exist. (10024)");
  const small = await bucket.createMultipartUpload(`${key}/small`);
  const tiny = [await small.uploadPart(1, "a"), await small.uploadPart(2, "b")];
  await failure("multipart: parts that are too small", () => small.complete(tiny),
    "completeMultipartUpload: Your proposed upload is smaller than the minimum allowed object size. (10011)");
  const wrong = await bucket.createMultipartUpload(`${key}/wrong`);
  await wrong.uploadPart(1, "a");
  await failure("multipart: another etag", () => wrong.complete([{ partNumber: 1, etag: "0".repeat(32) }]),
    "completeMultipartUpload: One or more of the specified parts could not be found. (10025)");
}

async function lists(bucket, name) {
  const prefix = `${name}/list/`;
  const names = ["a", "b/1", "b/2", "c", "d/1"].map((key) => prefix + key);
  for (const key of names) await bucket.put(key, key, { httpMetadata: { contentType: "text/x" }, customMetadata: { key } });
  const all = await bucket.list({ prefix });
  same("list", [all.objects.map((object) => object.key), all.truncated, all.cursor], [names, false, undefined]);
  same("list: without include", [all.objects[0].httpMetadata, all.objects[0].customMetadata], [undefined, undefined]);
  const rich = await bucket.list({ prefix, include: ["httpMetadata", "customMetadata"] });
  same("list: with include", [rich.objects[0].httpMetadata, rich.objects[0].customMetadata], [{ contentType: "text/x" }, { key: names[0] }]);
  const grouped = await bucket.list({ prefix, delimiter: "/" });
  same("list: delimiter", [grouped.objects.map((object) => object.key), grouped.delimitedPrefixes], [[names[0], names[3]], [`${prefix}b/`, `${prefix}d/`]]);
  const pages = [];
  let cursor;
  do {
    const page = await bucket.list({ prefix, limit: 2, cursor });
    pages.push(page.objects.map((object) => object.key));
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined && pages.length < 10);
  same("list: pages", pages, [names.slice(0, 2), names.slice(2, 4), names.slice(4)]);
  same("list: startAfter", (await bucket.list({ prefix, startAfter: names[2] })).objects.map((object) => object.key), names.slice(3));
  same("list of nothing", (await bucket.list({ prefix: "no such prefix" })).objects, []);
  await failure("list: limit", () => bucket.list({ limit: 1001 }),
    "list: MaxKeys params must be positive integer <= 1000. (10022)");
}

async function deletes(bucket, name) {
  await bucket.put(`${name}/gone`, "x");
  await bucket.delete(`${name}/gone`);
  same("delete", [await bucket.get(`${name}/gone`), await bucket.head(`${name}/gone`)], [null, null]);
  await bucket.delete(`${name}/never was`);
  await bucket.delete([]);
  const keys = Array.from({ length: 1000 }, (_, i) => `${name}/many/${i}`);
  await Promise.all(keys.slice(0, 20).map((key) => bucket.put(key, "x")));
  await bucket.delete(keys);
  same("delete of 1000 keys", (await bucket.list({ prefix: `${name}/many/` })).objects.length, 0);
  await failure("delete of 1001 keys", () => bucket.delete([...keys, "one more"]), "delete: At most 1000 keys can be deleted at once. (10029)");
}

async function errors(bucket) {
  await failure("a key that is too long", () => bucket.put("k".repeat(1025), "x"),
    "put: The specified object name is not valid. (10020)");
  await failure("... with a large value", () => bucket.put("k".repeat(1025), pattern(3 * MIB)),
    "put: The specified object name is not valid. (10020)");
  await failure("metadata that is too large", () => bucket.put("k", "x", { customMetadata: { a: "m".repeat(8192) } }),
    "put: Your metadata headers exceed the maximum allowed metadata size. (10012)");
}

// What one PoP acknowledged, the other one tells at once.
async function strong() {
  for (const [to, from, way] of [[HOME, AWAY, "home to away"], [AWAY, HOME, "away to home"]]) {
    for (let i = 0; i < 5; i++) {
      const value = `${way} ${i}`;
      const put = await to.put("strong", value);
      const got = await from.get("strong");
      same(`strong: ${value}`, [await got.text(), got.version], [value, put.version]);
      same(`strong: list of ${value}`, (await from.list({ prefix: "strong" })).objects[0].version, put.version);
    }
    await to.delete("strong");
    same(`strong: ${way}: a delete`, [await from.get("strong"), (await from.list({ prefix: "strong" })).objects.length], [null, 0]);
  }
}

async function large() {
  const chunk = pattern(MIB, 7);
  for (const [to, from, name] of [[AWAY, HOME, "to home"], [HOME, AWAY, "from home"], [AWAY, AWAY, "away"]]) {
    const { object, sha256 } = await putStreamed(to, `large/${name}`, chunk, 50);
    const got = await from.get(`large/${name}`);
    same(`50 MiB ${name}`, [object.size, got.size, await hashOf(got.body)], [50 * MIB, 50 * MIB, sha256]);
    const copied = await from.put(`large/copy ${name}`, (await from.get(`large/${name}`)).body);
    same(`50 MiB ${name}, copied`, [copied.etag, await hashOf((await to.get(`large/copy ${name}`)).body)], [object.etag, sha256]);
  }
}

// Of many at once one wins, and everyone sees the same.
async function writers() {
  const puts = await Promise.all(Array.from({ length: 16 }, (_, i) => [HOME, AWAY][i % 2].put("contended", `writer ${i}`)));
  const [home, away] = [await HOME.get("contended"), await AWAY.get("contended")];
  same("writers: one of them is read, the same everywhere", [home.version, puts.some((put) => put.version === home.version)], [away.version, true]);
  same("writers: its own bytes", (await home.text()) === (await away.text()), true);
  const created = await Promise.all(Array.from({ length: 16 }, (_, i) => [HOME, AWAY][i % 2].put("created once", `${i}`, { onlyIf: { etagDoesNotMatch: "*" } })));
  same("writers: one creates", created.filter((put) => put !== null).length, 1);
}

async function writeRate(RATED) {
  const results = await Promise.allSettled([1, 2, 3].map((n) => RATED.put("hot", String(n))));
  const refused = results.filter((result) => result.status === "rejected").map((result) => result.reason.message);
  same("one write a second to a key", refused.length, 2);
  same("its error", refused[0], "put: Reduce your concurrent request rate for the same object. (10058)");
}

export default {
  async fetch(request, env) {
    checks.length = 0;
    HOME = env.HOME ?? env.FILES;
    AWAY = env.AWAY ?? env.FILES;
    try {
      const buckets = HOME === AWAY ? [[AWAY, "away"]] : [[HOME, "home"], [AWAY, "away"]];
      for (const [bucket, name] of buckets) {
        for (const part of [objects, checksums, ranges, conditions, secrets, multipart, lists, deletes, errors]) {
          const before = checks.length;
          await part(bucket, name);
          for (const check of checks.slice(before)) check.name = `${name}: ${check.name}`;
        }
      }
      for (const part of [strong, large, writers]) await part();
      await writeRate(env.RATED);
    } catch (error) {
      checks.push({ name: "the Worker itself", ok: false, got: String(error.stack ?? error), wanted: "no error" });
    }
    return Response.json(checks);
  },
};
