// Public buckets of a live cluster at speed 60: what each PoP's cache gives, for how long, and what ends it.
//   node run.mjs POPSIM_BINARY
// Nothing here depends on how fast the machine is: what holds only for a while is asked for until it is over, and every
// answer must fit its own headers.
import { execFile } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const popsim = process.argv[2];
const state = await mkdtemp(path.join(tmpdir(), "popsim-public-"));
const options = ["--state", state];
const LONG = "max-age=31536000";
let passed = 0;
let failed = 0;

function same(what, got, expected) {
  if (JSON.stringify(got) === JSON.stringify(expected)) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`);
  }
}

async function until(what, check) {
  const end = Date.now() + 60_000;
  for (;;) {
    const got = await check();
    if (got) return got;
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// It fails while a node is down, and says which.
const status = async () => JSON.parse((await run(popsim, ["status", "--json", ...options]).catch((error) => error)).stdout);
const sha = (data) => createHash("sha256").update(data).digest("hex");
const mac = (key, data) => createHmac("sha256", key).update(data).digest();

// A signed request of S3's.
async function s3(pop, method, bucket, key, body = "", headers = {}, query = "") {
  const host = `127.0.0.1:${pop.s3_port}`;
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const all = { host, "x-amz-content-sha256": sha(body), "x-amz-date": date, ...headers };
  const names = Object.keys(all).sort();
  const canonical = [method, `/${bucket}/${key}`, query, ...names.map((name) => `${name}:${all[name]}`), "", names.join(";"), sha(body)].join("\n");
  const scope = `${date.slice(0, 8)}/auto/s3/aws4_request`;
  let secret = `AWS4${pop.keys.secret_access_key}`;
  for (const part of scope.split("/")) secret = mac(secret, part);
  const signature = mac(secret, ["AWS4-HMAC-SHA256", date, scope, sha(canonical)].join("\n")).toString("hex");
  const authorization = `AWS4-HMAC-SHA256 Credential=${pop.keys.access_key_id}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  delete all.host;
  const answer = await fetch(`http://${host}/${bucket}/${key}${query && "?"}${query}`, { method, body: method === "PUT" ? body : undefined, headers: { ...all, authorization } });
  if (!answer.ok) throw new Error(`${method} ${key}: ${answer.status} ${await answer.text()}`);
}

const put = (pop, key, body, control) => s3(pop, "PUT", pop.bucket, key, body, { "content-type": "text/css", ...(control ? { "cache-control": control } : {}) });
const url = (pop, key, bucket = "ASSETS") => `http://127.0.0.1:${pop.port}/cdn-cgi/local/r2/public/${bucket}/${key}`;

async function get(pop, key, init = {}, bucket) {
  const answer = await fetch(url(pop, key, bucket), init);
  const number = (name) => Number(answer.headers.get(name));
  return {
    status: answer.status,
    cache: answer.headers.get("cf-cache-status"),
    age: answer.headers.has("age") ? number("age") : null,
    behind: number("popsim-behind"),
    stale: number("popsim-stale-ms"),
    lsn: number("popsim-lsn"),
    latest: number("popsim-latest-lsn"),
    boot: number("popsim-boot"),
    headers: answer.headers,
    bytes: Buffer.from(await answer.arrayBuffer()),
    get text() {
      return this.bytes.toString();
    },
  };
}

const told = (got) => [got.status, got.cache, got.text];

async function purge(pop, zone, body) {
  const answer = await fetch(`http://127.0.0.1:${pop.port}/client/v4/zones/${zone}/purge_cache`, { method: "POST", body: JSON.stringify(body), headers: { authorization: `Bearer ${pop.token}` } });
  return [answer.status, await answer.json()];
}

// What a PoP gives once it has heard of a newer version.
const outdated = (pop, key) =>
  until(`${pop.pop} hears of a newer ${key}`, async () => {
    const got = await get(pop, key);
    return got.behind === 1 ? got : null;
  });

// Both PoPs keep a version that was overwritten.
async function stale(pops, key) {
  await put(pops[0], key, "one", LONG);
  for (const pop of pops) {
    await get(pop, key);
    await until(`${key} is kept`, async () => (await get(pop, key)).cache === "HIT");
  }
  await put(pops[0], key, "two", LONG);
  for (const pop of pops) {
    const got = await outdated(pop, key);
    same(`${key} is stale at ${pop.pop}`, [...told(got), got.behind], [200, "HIT", "one", 1]);
    same("and says how stale", got.stale > 0 && got.latest > got.lsn && got.age !== null, true);
  }
}

async function fresh(pops, key) {
  for (const pop of pops) {
    const got = await until(`${key} is purged at ${pop.pop}`, async () => {
      const one = await get(pop, key);
      if (one.text !== "one") return one;
      same("what is not purged yet", one.cache, "HIT");
      return null;
    });
    same(`${key} after its purge at ${pop.pop}`, [...told(got), got.behind], [200, "MISS", "two", 0]);
  }
}

async function lifetimes(pops) {
  const [home, away] = pops;
  await put(home, "app.css", "one", "max-age=120");
  const first = await get(away, "app.css");
  same("the first read", [...told(first), first.age], [200, "MISS", "one", null]);
  await put(home, "app.css", "two", "max-age=120");
  const last = await until("the entry ends", async () => {
    const got = await get(away, "app.css");
    if (got.text === "two") return got;
    same("until then", [got.status, got.cache, got.age < 120, got.stale <= 120_000], [200, "HIT", true, true]);
    return null;
  });
  same("then", [...told(last), last.behind, last.stale], [200, "EXPIRED", "two", 0, 0]);
  const again = await until("the entry ends again", async () => {
    const got = await get(away, "app.css");
    return got.cache === "HIT" ? null : got;
  });
  same("nothing has changed", told(again), [200, "REVALIDATED", "two"]);

  await get(away, "soon.js");
  await until("a 404 is kept", async () => {
    const got = await get(away, "soon.js");
    return got.status === 404 && got.cache === "HIT";
  });
  await put(away, "soon.js", "here", LONG);
  const here = await until("the 404 ends", async () => {
    const got = await get(away, "soon.js");
    if (got.status === 200) return got;
    same("until then it is missing", [got.status, got.cache, got.headers.get("content-type")], [404, "HIT", "text/html; charset=utf-8"]);
    return null;
  });
  same("then it is there", told(here), [200, "EXPIRED", "here"]);

  for (const [key, control, cache] of [["now.css", "no-store", "BYPASS"], ["page.html", LONG, "DYNAMIC"]]) {
    for (const body of ["one", "two"]) {
      await put(home, key, body, control);
      for (let i = 0; i < 2; i += 1) same(`${key} is never stale`, told(await get(away, key)), [200, cache, body]);
    }
  }
  await put(home, "all.html", "one", LONG);
  await s3(home, "PUT", home.every, "page", "one", { "cache-control": LONG });
  same("a bucket that caches everything", (await get(away, "page", {}, "EVERYTHING")).cache, "MISS");
  await until("keeps it", async () => (await get(away, "page", {}, "EVERYTHING")).cache === "HIT");
}

async function answers(pops) {
  const [home, away] = pops;
  await put(home, "dir/a%20b.css", "0123456789", LONG);
  await get(away, "dir/a%20b.css");
  const whole = await until("it is kept", async () => {
    const got = await get(away, "dir/a%20b.css");
    return got.cache === "HIT" ? got : null;
  });
  const etag = whole.headers.get("etag");
  same("its ETag", etag, `"${createHash("md5").update("0123456789").digest("hex")}"`);
  same("its headers", ["content-type", "cache-control", "accept-ranges"].map((name) => whole.headers.get(name)), ["text/css", LONG, "bytes"]);
  const ask = async (headers, method = "GET") => get(away, "dir/a%20b.css", { headers, method });
  const none = await ask({ "if-none-match": etag });
  same("304", [...told(none), none.headers.get("etag")], [304, "HIT", "", etag]);
  same("304 by date", (await ask({ "if-modified-since": whole.headers.get("last-modified") })).status, 304);
  same("412", (await ask({ "if-match": '"other"' })).status, 412);
  const part = await ask({ range: "bytes=2-4" });
  same("206", [...told(part), part.headers.get("content-range")], [206, "HIT", "234", "bytes 2-4/10"]);
  same("an If-Range of another", told(await ask({ range: "bytes=2-4", "if-range": '"other"' })), [200, "HIT", "0123456789"]);
  const beyond = await ask({ range: "bytes=10-" });
  same("416", [beyond.status, beyond.headers.get("content-range")], [416, "bytes */10"]);
  const head = await ask({}, "HEAD");
  same("HEAD", [...told(head), head.headers.get("content-length")], [200, "HIT", "", "10"]);
  same("POST", (await get(away, "dir/a%20b.css", { method: "POST" })).status, 405);
  same("the bucket's name", (await get(away, "dir/a%20b.css", {}, "assets")).cache, "HIT");
  same("no such bucket", (await get(away, "x.css", {}, "NONE")).status, 404);
  same("no list", (await get(away, "")).status, 404);
}

async function bodies(pops) {
  const [home, away] = pops;
  const one = Buffer.alloc(3 << 20, "one, ");
  const two = Buffer.alloc(2 << 20, "two, ");
  await put(home, "big.bin", one, LONG);
  same("a large body", (await get(away, "big.bin")).bytes.equals(one), true);
  await put(home, "big.bin", two, LONG);
  const hit = await outdated(away, "big.bin");
  same("an old large body", [hit.cache, hit.behind, hit.bytes.equals(one)], ["HIT", 1, true]);
  const part = await get(away, "big.bin", { headers: { range: "bytes=1000000-2999999" } });
  same("part of it", [part.status, part.cache, part.bytes.equals(one.subarray(1_000_000, 3_000_000))], [206, "HIT", true]);
  const head = await get(away, "big.bin", { method: "HEAD" });
  same("its head", [head.status, head.headers.get("content-length")], [200, String(one.length)]);
  same("at home", (await get(home, "big.bin")).bytes.equals(two), true);
}

// Who gives no type is given one, if the first bytes tell.
async function types(pops) {
  const [home, away] = pops;
  const png = Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), Buffer.alloc(50_000)]);
  for (const [pop, size, type] of [[home, 100, "image/png"], [away, 50_000, "image/png"], [away, 4, "application/octet-stream"]]) {
    const key = `typed-${size}.bin`;
    await s3(pop, "PUT", pop.bucket, key, png.subarray(0, size));
    same(`the type of ${size} bytes`, (await get(home, key)).headers.get("content-type"), type);
  }
}

// What a browser may be given is up to the bucket's CORS rules.
async function origins(pops) {
  const [home, away] = pops;
  const origin = "https://app.example";
  await put(home, "shared.css", "shared", LONG);
  const ask = async (method, headers) => (await get(away, "shared.css", { method, headers })).headers.get("access-control-allow-origin");
  const preflight = (headers) => get(away, "shared.css", { method: "OPTIONS", headers });
  const wish = { origin, "access-control-request-method": "GET" };
  same("no rules", [await ask("GET", { origin }), (await preflight(wish)).status], [null, 403]);
  const rule = `<AllowedMethod>GET</AllowedMethod><AllowedOrigin>${origin}</AllowedOrigin><ExposeHeader>ETag</ExposeHeader>`;
  await s3(home, "PUT", home.bucket, "", `<CORSConfiguration><CORSRule>${rule}</CORSRule></CORSConfiguration>`, {}, "cors=");
  const allowed = await until("its rules are known", async () => {
    const got = await preflight(wish);
    return got.status === 204 ? got : null;
  });
  same("what it allows", ["origin", "methods"].map((name) => allowed.headers.get(`access-control-allow-${name}`)), [origin, "GET"]);
  await until("it is kept", async () => (await get(away, "shared.css")).cache === "HIT");
  same("who may have it, also from the cache", [await ask("GET", { origin }), await ask("GET", { origin: "https://other.example" }), await ask("GET", {})], [origin, null, null]);
  same("no origin", (await preflight({})).status, 400);
}

// Files of superseded bodies go in time.
async function sweeps(pops) {
  const [home, away] = pops;
  const files = async () => {
    const all = await readdir(path.join(state, `pop-${home.pop}`, "blobs"), { recursive: true, withFileTypes: true });
    return all.filter((one) => one.isFile()).map((one) => path.join(one.parentPath ?? one.path, one.name));
  };
  await put(home, "swept.bin", Buffer.alloc(100_000, "1"), LONG);
  await get(away, "swept.bin");
  await until("it is kept", async () => (await get(away, "swept.bin")).cache === "HIT");
  const metrics = await (await fetch(`http://127.0.0.1:${away.port}/metrics`)).text();
  same("and counted", Number(/popsim_pins\{pop="\w+",store="ASSETS"\} (\d+)/.exec(metrics)?.[1]) > 0, true);
  const old = await files();
  await put(home, "swept.bin", Buffer.alloc(100_000, "2"), LONG);
  same("an old body", (await outdated(away, "swept.bin")).bytes[0], 0x31);
  for (const one of old) await rm(one);
  const head = await get(away, "swept.bin", { method: "HEAD" });
  same("its head needs no body", [head.status, head.cache], [200, "HIT"]);
  const got = await get(away, "swept.bin");
  same("an old body that went", [got.status, got.cache, got.bytes[0]], [200, "MISS", 0x32]);
  same("and when", BigInt(got.headers.get("popsim-dropped")) < BigInt(got.headers.get("popsim-time")), true);
}

// Home is dead, so nobody knows what it has done: what is here is given, and marked.
async function deaths(pops) {
  const [home, away] = pops;
  await put(home, "late.css", "late", LONG);
  await put(home, "died.css", "old", "max-age=1, stale-if-error=864000");
  for (const key of ["late.css", "died.css"]) await get(away, key);
  await until("it is kept", async () => (await get(away, "late.css")).cache === "HIT");
  await get(away, "died.css"); // what the fetches found is known now
  process.kill(home.pid, "SIGSTOP");
  const late = await until("home is away", async () => {
    const got = await get(away, "late.css");
    return got.headers.has("popsim-late") ? got : null;
  });
  same("what is here", told(late), [200, "HIT", "late"]);
  const stale = await until("its time is over", async () => {
    const got = await get(away, "died.css");
    return got.cache === "STALE" ? got : null;
  });
  same("what is stale", [stale.text, stale.headers.has("popsim-late")], ["old", true]);
  same("what is not here", (await get(away, "cold.css")).status, 522);
  process.kill(home.pid, "SIGCONT");
  await until("home is back", async () => (await get(away, "cold.css")).status === 404);
  same("nothing was lost", told(await get(away, "late.css")), [200, "HIT", "late"]);
}

async function purges(pops) {
  const [home, away] = pops;
  const bad = await purge(home, "any", { prefixes: ["127.0.0.1/x"] });
  same("prefixes", [bad[0], bad[1].success], [400, false]);
  same("another's URL", (await purge(home, "any", { files: ["http://example.com/a.css"] }))[0], 400);
  same("without the token", (await purge({ ...home, token: "x" }, "any", { purge_everything: true }))[0], 401);
  await stale(pops, "purged.css");
  await stale(pops, "other.css");
  same("a purge", await purge(away, "z1", { files: [url(home, "purged.css")] }), [200, { success: true, errors: [], messages: [], result: { id: "z1" } }]);
  await fresh(pops, "purged.css");
  same("of that alone", told(await get(away, "other.css")), [200, "HIT", "one"]);
  await purge(home, "EVERYTHING", { purge_everything: true });
  same("all of another bucket", told(await get(away, "other.css")), [200, "HIT", "one"]);
  await purge(home, "any", { purge_everything: true });
  await fresh(pops, "other.css");
}

// What is out of date is given, and home is asked behind it.
async function updates(pops) {
  const [home, away] = pops;
  await put(home, "updating.css", "old", "max-age=60, stale-while-revalidate=864000");
  await get(away, "updating.css");
  await until("kept", async () => (await get(away, "updating.css")).cache === "HIT");
  await put(home, "updating.css", "new", "max-age=60, stale-while-revalidate=864000");
  const got = await until("its time is over", async () => {
    const one = await get(away, "updating.css");
    return one.cache === "HIT" && one.text === "old" ? null : one;
  });
  same("out of date", told(got), [200, "UPDATING", "old"]);
  same("and it says how old", got.age >= 60, true);
  await until("updated", async () => (await get(away, "updating.css")).text === "new");
}

async function faults(pops) {
  const [home, away] = pops;
  await put(home, "kept.css", "kept", LONG);
  await put(home, "short.css", "short", "max-age=1");
  await put(home, "error.css", "old", "max-age=1, stale-if-error=864000");
  for (const key of ["kept.css", "short.css", "error.css"]) await get(away, key);
  await until("kept", async () => (await get(away, "kept.css")).cache === "HIT");
  await run(popsim, ["fault", "partition", "--pop", away.pop, ...options]);
  await put(home, "error.css", "new", LONG);
  same("cut off, and here", told(await get(away, "kept.css")), [200, "HIT", "kept"]);
  const got = await until("its time is over", async () => {
    const one = await get(away, "error.css");
    return one.cache === "HIT" ? null : one;
  });
  same("cut off, and stale", told(got), [200, "STALE", "old"]);
  await until("no answer", async () => (await get(away, "short.css")).status === 522);
  await run(popsim, ["fault", "heal", "--pop", away.pop, ...options]);
  await until("healed", async () => (await get(away, "error.css")).text === "new");
}

async function restarts(pops) {
  const [home, away] = pops;
  await stale(pops, "restarted.css");
  const before = await get(away, "restarted.css");
  process.kill((await status()).nodes.find((node) => node.pop === away.pop).pid, "SIGKILL");
  const after = await until("it is back", async () => {
    away.port = (await status()).nodes.find((node) => node.pop === away.pop).port;
    return get(away, "restarted.css").then((got) => (got.boot > before.boot && got.status === 200 ? got : null), () => null);
  });
  same("a restart empties the cache", told(after), [200, "MISS", "two"]);
  same("not another PoP's", told(await get(home, "restarted.css")), [200, "HIT", "one"]);
}

const file = path.join(state, "public.yaml");
await writeFile(file, `name: Public buckets
duration: 1m
cluster: {home: fra, pops: [fra, syd]}
stores:
  ASSETS: {type: r2, write_interval: 0}
  EVERYTHING: {type: r2, write_interval: 0, public: {cache: everything}}
workload:
  - {name: none, at: 1s, pop: fra, r2.head: {store: ASSETS, key: a}}
`);
await run(popsim, ["up", file, "--detach", "--quiet", ...options, "--port", "0", "--speed", "60", "--token", "test"]);
try {
  const first = await status();
  const pops = first.nodes.map((node) => ({ ...node, keys: first.s3, token: "test", bucket: "assets", every: "everything" }));
  for (const part of [lifetimes, answers, bodies, types, origins, sweeps, updates, purges, faults, deaths, restarts]) {
    console.log(part.name);
    await part(pops);
  }
} catch (error) {
  console.log(error);
  failed += 1;
  console.log((await run(popsim, ["logs", ...options])).stdout.split("\n").slice(-40).join("\n"));
} finally {
  await run(popsim, ["down", "--clean", ...options]).catch(() => {});
  await rm(state, { recursive: true, force: true });
}
console.log(`${passed} checks passed, ${failed} failed`);
process.exit(failed > 0 || passed < 60 ? 1 : 0);
