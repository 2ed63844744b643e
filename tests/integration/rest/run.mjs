// The official SDK of the v4 REST API, unmodified, against a live cluster: each call of KV, D1 and R2, and fails on the
// first thing that is not as the service's own answers are.
//   node run.mjs POPSIM_BINARY
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import Cloudflare, { toFile } from "cloudflare";
import { databases, exported } from "./d1.mjs";
import { bucketsAndObjects, kept } from "./r2.mjs";

const run = promisify(execFile);
const popsim = process.argv[2];
const account_id = "023e105f4ecef8ad9ca31a8372d0c353";
const token = "a-token-of-the-test";
let failed = 0;
let passed = 0;

function same(name, got, wanted) {
  if (isDeepStrictEqual(got, wanted)) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`${name}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
  }
}

// What a call throws, as the SDK tells it.
async function refusal(call) {
  try {
    return await call();
  } catch (error) {
    return { type: error.constructor.name, status: error.status, code: error.errors?.[0]?.code, message: error.errors?.[0]?.message };
  }
}

async function collect(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

// Other PoPs follow within moments.
async function until(condition, deadline = Date.now() + 30_000) {
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function namespaces(sin, fra) {
  const api = sin.kv.namespaces;
  const made = await api.create({ account_id, title: "Users ü 1" });
  same("id", /^[0-9a-f]{32}$/.test(made.id), true);
  same("create", { ...made, id: "" }, { id: "", title: "Users ü 1", supports_url_encoding: true });
  same("get", await api.get(made.id, { account_id }), made);
  same("create again", await refusal(() => api.create({ account_id, title: "Users ü 1" })), {
    type: "BadRequestError",
    status: 400,
    code: 10014,
    message: "create namespace: 'A namespace with this account ID and title already exists'",
  });
  same("create without a title", (await refusal(() => api.create({ account_id }))).code, 10019);
  const titles = [];
  for (let i = 0; i < 7; i++) {
    titles.push(`page ${i}`);
    await api.create({ account_id, title: titles[i] });
  }
  const listed = await collect(api.list({ account_id, per_page: 3, order: "title", direction: "desc" }));
  same("list", listed.map((one) => one.title), [...titles].reverse().concat("Users ü 1", "KV"));
  await until(async () => (await collect(fra.kv.namespaces.list({ account_id }))).length === listed.length);
  same("update at another PoP", await fra.kv.namespaces.update(made.id, { account_id, title: "Renamed" }), { ...made, title: "Renamed" });
  await until(async () => (await api.get(made.id, { account_id })).title === "Renamed");
  same("update to a title that is taken", (await refusal(() => api.update(made.id, { account_id, title: "page 3" }))).code, 10014);
  same("delete", await api.delete(made.id, { account_id }), null);
  const gone = { type: "NotFoundError", status: 404, code: 10013, message: "get namespace: 'namespace not found'" };
  same("get a deleted one", await refusal(() => api.get(made.id, { account_id })), gone);
  same("delete a deleted one", await refusal(() => api.delete(made.id, { account_id })), gone);
  same("its keys", (await refusal(() => api.keys.list(made.id, { account_id }))).code, 10013);
}

async function values(sin, fra) {
  const { id: namespace_id } = await sin.kv.namespaces.create({ account_id, title: "values" });
  const at = { account_id, namespace_id };
  const api = sin.kv.namespaces.values;
  const key = "a/b ü?%:!.txt";
  const before = Math.floor(Date.now() / 1000);
  same("put", await api.update(key, { ...at, value: "häl\r\nlo", metadata: JSON.stringify({ x: [1, "ü"] }), expiration_ttl: 3600 }), null);
  const got = await api.get(key, at);
  same("get", await got.text(), "häl\r\nlo");
  const left = Number(got.headers.get("expiration")) - before;
  // A cluster's Unix time counts whole seconds from the second in which it was started.
  same("expiration", left >= 3599 && left < 3700, true);
  same("metadata", await sin.kv.namespaces.metadata.get(key, at), { x: [1, "ü"] });
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 2654435761) >>> 13);
  same("put bytes", await api.update("bytes", { ...at, value: await toFile(bytes, "bytes.bin") }), null);
  same("get bytes", Buffer.compare(Buffer.from(await (await api.get("bytes", at)).arrayBuffer()), Buffer.from(bytes)), 0);
  same("metadata of none", await sin.kv.namespaces.metadata.get("bytes", at), null);
  await until(async () => (await refusal(() => fra.kv.namespaces.get(namespace_id, { account_id }))).id === namespace_id);
  same("get at another PoP", await (await fra.kv.namespaces.values.get(key, at)).text(), "häl\r\nlo");
  same("delete", await fra.kv.namespaces.values.delete(key, at), null);
  const gone = { type: "NotFoundError", status: 404, code: 10009, message: "get: 'key not found'" };
  same("get a deleted key", await refusal(() => api.get(key, at)), gone);
  same("metadata of a deleted key", (await refusal(() => sin.kv.namespaces.metadata.get(key, at))).code, 10009);
  same("delete a deleted key", await api.delete(key, at), null);
  same("a ttl that is too short", (await refusal(() => api.update("k", { ...at, value: "v", expiration_ttl: 5 }))).code, 10034);
  // One write a second to a key; the second of two that follow at once is over it, wherever they are made.
  let refused;
  await until(async () => {
    refused = await refusal(() => api.update("limited", { ...at, value: "v" }, { maxRetries: 0 }));
    return refused !== null;
  });
  same("two writes at once", [refused.type, refused.status], ["RateLimitError", 429]);
}

async function bulk(sin) {
  const { id } = await sin.kv.namespaces.create({ account_id, title: "bulk" });
  const api = sin.kv.namespaces;
  const names = Array.from({ length: 25 }, (_, i) => `n${String(i).padStart(2, "0")}`);
  const body = names.map((key, i) => ({ key, value: JSON.stringify({ i }), metadata: { i }, expiration: 4102444800 }));
  body.push({ key: "base64", value: Buffer.from("décodé").toString("base64"), base64: true });
  same("bulk update", await api.bulkUpdate(id, { account_id, body }), { unsuccessful_keys: [], successful_key_count: 26 });
  const keys = await collect(api.keys.list(id, { account_id, prefix: "n", limit: 10 }));
  same("keys", keys, names.map((name, i) => ({ name, expiration: 4102444800, metadata: { i } })));
  const page = await api.keys.list(id, { account_id, limit: 10 });
  same("a page", [page.result.length, page.result_info.count, page.result_info.cursor.length > 0], [10, 10, true]);
  same("keys of none", await collect(api.keys.list(id, { account_id, prefix: "none" })), []);
  same("bulk get", await api.bulkGet(id, { account_id, keys: ["base64", "none"] }), { values: { base64: "décodé", none: null } });
  same("bulk get of JSON", await api.bulkGet(id, { account_id, keys: ["n07"], type: "json" }), { values: { n07: { i: 7 } } });
  same("bulk get with metadata", await api.bulkGet(id, { account_id, keys: ["n07"], withMetadata: true }), {
    values: { n07: { value: '{"i":7}', metadata: { i: 7 }, expiration: 4102444800 } },
  });
  same("bulk delete", await api.bulkDelete(id, { account_id, body: [...names, "none"] }), { unsuccessful_keys: [], successful_key_count: 26 });
  same("what is left", await collect(api.keys.list(id, { account_id })), [{ name: "base64" }]);
}

// Time Travel of the database DB, whose id is asked for by its name.
async function travel(sin, fra) {
  const db = sin.d1.database;
  const { uuid } = await db.get("DB", { account_id });
  const ask = async (sql) => (await collect(db.query(uuid, { account_id, sql })))[0].results;
  await ask("CREATE TABLE t (a)");
  await ask("INSERT INTO t VALUES (1)");
  const { bookmark } = await fra.d1.database.timeTravel.getBookmark(uuid, { account_id });
  same("bookmark", /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/.test(bookmark), true);
  await ask("DROP TABLE t");
  const dropped = await db.timeTravel.getBookmark(uuid, { account_id });
  same("a later bookmark sorts behind", bookmark < dropped.bookmark, true);
  const restored = await fra.d1.database.timeTravel.restore(uuid, { account_id, bookmark });
  same("restore", Object.keys(restored).sort(), ["bookmark", "message", "previous_bookmark"]);
  same("the bookmark before", restored.previous_bookmark, dropped.bookmark);
  same("the bookmark of a restore sorts behind", restored.bookmark > dropped.bookmark, true);
  same("restored rows", await ask("SELECT a FROM t"), [{ a: 1 }]);
  same("an instant before it was", await refusal(() => db.timeTravel.getBookmark(uuid, { account_id, timestamp: "2020-01-01T00:00:00Z" })), {
    type: "BadRequestError", status: 400, code: 7500, message: "Invalid timestamp: it is before this database was created." });
  same("no instant", (await refusal(() => db.timeTravel.restore(uuid, { account_id, timestamp: "noon" }))).code, 7400);
}

const folder = await mkdtemp(path.join(tmpdir(), "popsim-rest-"));
const state = path.join(folder, "state");
await run(popsim, ["up", "--detach", "--quiet", "--state", state, "--port", "0", "--pops", "ams,fra,sin", "--store", "KV=kv", "--store", "DB=d1", "--store", "ASSETS=r2", "--token", token]);
try {
  const ask = async () => JSON.parse((await run(popsim, ["status", "--json", "--state", state])).stdout);
  let status = await ask();
  const url = (pop) => `http://127.0.0.1:${status.nodes.find((node) => node.pop === pop).port}/client/v4`;
  const client = (pop, apiToken) => new Cloudflare({ apiToken, baseURL: url(pop) });
  const sin = client("sin", token);
  const fra = client("fra", token);
  same("another token", await refusal(() => client("sin", "wrong").kv.namespaces.list({ account_id })), {
    type: "AuthenticationError", status: 401, code: 10000, message: "Authentication error" });
  await namespaces(sin, fra);
  await values(sin, fra);
  await bulk(sin);
  await travel(sin, fra);
  const t = { account_id, same, refusal, collect, until };
  const { id, whole } = await databases(t, sin, fra);
  const objects = await bucketsAndObjects(t, sin, fra, (target, options = {}) =>
    fetch(`${url("sin")}${target}`, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } }));
  await run(popsim, ["down", "--state", state]);
  await run(popsim, ["up", "--detach", "--quiet", "--state", state]);
  status = await ask();
  same("after a restart", (await exported(t, client("sin", token), id, {})).text, whole);
  await kept(t, client("sin", token), client("fra", token), objects);
} catch (error) {
  failed += 1;
  console.log(error.stack);
} finally {
  await run(popsim, ["down", "--clean", "--state", state]);
  await rm(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
