// Uses every method of a KV binding and says what it saw. Runs in real workerd; its binding KV is a PoP.
const checks = [];

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

async function text(stream) {
  return new Response(stream).text();
}

async function values(KV) {
  await KV.put("plain", "hello");
  same("get", await KV.get("plain"), "hello");
  same("get text", await KV.get("plain", "text"), "hello");
  await KV.put("json", JSON.stringify({ a: [1, 2] }));
  same("get json", await KV.get("json", "json"), { a: [1, 2] });
  same("get json by options", await KV.get("json", { type: "json", cacheTtl: 60 }), { a: [1, 2] });
  const bytes = new Uint8Array(300).map((_, i) => i % 256);
  await KV.put("bytes", bytes);
  same("get arrayBuffer", [...new Uint8Array(await KV.get("bytes", "arrayBuffer"))], [...bytes]);
  same("get stream", await text(await KV.get("plain", "stream")), "hello");
  await KV.put("streamed", new Response("from a stream").body);
  same("put stream", await KV.get("streamed"), "from a stream");
  same("get absent", await KV.get("absent"), null);
  for (const key of ["a/b", "100%", "q?x#y", "plus+sign", "späce key", "\u{1F600}", "a&b=c", "\"<>\\^`{|}"]) {
    await KV.put(key, `value of ${key}`);
    same(`odd key ${key}`, await KV.get(key), `value of ${key}`);
  }
  const large = "x".repeat(2 << 20);
  await KV.put("large", large);
  same("large value", (await KV.get("large")).length, large.length);
  await KV.put("empty", "");
  same("empty value", await KV.get("empty"), "");
}

async function metadata(KV) {
  const now = Math.floor(Date.now() / 1000);
  await KV.put("meta", "v", { metadata: { who: "jürgen", n: 1 }, expirationTtl: 3600 });
  const got = await KV.getWithMetadata("meta");
  same("getWithMetadata value", got.value, "v");
  same("getWithMetadata metadata", got.metadata, { who: "jürgen", n: 1 });
  const typed = await KV.getWithMetadata("json", "json");
  same("getWithMetadata json", [typed.value, typed.metadata], [{ a: [1, 2] }, null]);
  const none = await KV.getWithMetadata("absent");
  same("getWithMetadata absent", [none.value, none.metadata], [null, null]);
  await KV.put("expires", "soon", { expiration: now + 7200 });
  same("put with expiration", await KV.get("expires"), "soon");
}

async function lists(KV) {
  for (const n of [1, 2, 3, 4, 5]) {
    await KV.put(`list:${n}`, String(n), n === 3 ? { metadata: { three: true } } : {});
  }
  const all = await KV.list({ prefix: "list:" });
  same("list names", all.keys.map((k) => k.name), [1, 2, 3, 4, 5].map((n) => `list:${n}`));
  same("list complete", all.list_complete, true);
  same("list metadata", all.keys[2].metadata, { three: true });
  const first = await KV.list({ prefix: "list:", limit: 2 });
  same("list page", [first.keys.map((k) => k.name), first.list_complete], [["list:1", "list:2"], false]);
  const second = await KV.list({ prefix: "list:", limit: 3, cursor: first.cursor });
  same("list next page", second.keys.map((k) => k.name), ["list:3", "list:4", "list:5"]);
  const nothing = await KV.list({ prefix: "no such prefix" });
  same("list of nothing", [nothing.keys, nothing.list_complete], [[], true]);
}

async function bulk(KV) {
  const got = await KV.get(["plain", "absent"]);
  same("bulk get", [...got], [["plain", "hello"], ["absent", null]]);
  const parsed = await KV.get(["json"], "json");
  same("bulk get json", [...parsed], [["json", { a: [1, 2] }]]);
  const rich = await KV.getWithMetadata(["meta", "absent"]);
  same("bulk getWithMetadata", rich.get("meta").metadata, { who: "jürgen", n: 1 });
  same("bulk getWithMetadata absent", rich.get("absent"), null);
}

async function deletes(KV) {
  await KV.put("gone", "x");
  await KV.delete("gone");
  same("delete", await KV.get("gone"), null);
  await KV.delete("never was");
  same("delete of nothing", await KV.get("never was"), null);
}

async function errors(KV) {
  await failure("cacheTtl too small", () => KV.get("plain", { cacheTtl: 10 }),
    "KV GET failed: 400 Invalid cache_ttl of 10. Cache TTL must be at least 30.");
  await failure("expirationTtl too small", () => KV.put("k", "v", { expirationTtl: 10 }),
    "KV PUT failed: 400 Invalid expiration_ttl of 10. Expiration TTL must be at least 60.");
  await failure("key too long", () => KV.get("k".repeat(513)),
    "KV GET failed: 414 UTF-8 encoded length of 513 exceeds key length limit of 512.");
  await failure("metadata too long", () => KV.put("k", "v", { metadata: "m".repeat(2000) }),
    "KV PUT failed: 413 Metadata length of 2002 exceeds limit of 1024.");
  await failure("list limit", () => KV.list({ limit: 2000 }),
    "KV GET failed: 400 Invalid key_count_limit of 2000. Please specify an integer less than 1000.");
  await failure("bulk get of too many", () => KV.get(Array.from({ length: 101 }, (_, i) => `k${i}`)),
    "KV GET_BULK failed: 400 You can request a maximum of 100 keys");
  await failure("bulk get json of text", () => KV.get(["plain"], "json"),
    "KV GET_BULK failed: 400 At least one of the requested keys corresponds to a non-json value");
}

async function writeRate(LIMITED) {
  const results = await Promise.allSettled([
    LIMITED.put("hot", "1"), LIMITED.put("hot", "2"), LIMITED.put("hot", "3"),
  ]);
  const refused = results.filter((r) => r.status === "rejected").map((r) => r.reason.message);
  same("one write a second to a key", refused.length, 2);
  same("its error", refused[0], "KV PUT failed: 429 Too Many Requests");
}

export default {
  async fetch(request, env) {
    checks.length = 0;
    try {
      for (const part of [values, metadata, lists, bulk, deletes, errors]) {
        await part(env.KV);
      }
      await writeRate(env.LIMITED);
    } catch (error) {
      checks.push({ name: "the Worker itself", ok: false, got: String(error.stack ?? error), wanted: "no error" });
    }
    return Response.json(checks);
  },
};
