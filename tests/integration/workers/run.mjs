// Runs kv-worker.js, d1-worker.js and r2-worker.js in real workerd and in real, unmodified miniflare, each with its bindings pointed at
// a PoP of a live cluster, and fails on the first thing a Worker would see differently.
//   node run.mjs POPSIM_BINARY
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Miniflare } from "miniflare";

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const popsim = process.argv[2];
let failed = 0;
let passed = 0;

function report(client, checks) {
  for (const check of checks) {
    if (check.ok) {
      passed += 1;
    } else {
      failed += 1;
      console.log(`${client}: ${check.name}: got ${check.got}, wanted ${check.wanted}`);
    }
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function untilAnswers(url, deadline = Date.now() + 30_000) {
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const kvBindings = ["KV", "LIMITED"].map((name) => `(name = "${name}", kvNamespace = "${name}")`);
const d1Bindings = ["DB", "SLOW"].map((name) => `(name = "${name}", wrapped = (moduleName = "cloudflare-internal:d1-api",
    innerBindings = [(name = "fetcher", service = "${name}")]))`);

const r2Bindings = ["HOME", "AWAY", "RATED"].map((name) => `(name = "${name}", r2Bucket = "${name}")`);

async function withWorkerd(folder, ports, worker, bindings) {
  const listen = await freePort();
  const service = (name, pop = "sin", store = name) => `(name = "${name}", external = (address = "127.0.0.1:${ports[pop]}", http = (
    injectRequestHeaders = [(name = "popsim-store", value = "${store}")])))`;
  const services = [...["KV", "LIMITED", "DB", "SLOW", "RATED"].map((name) => service(name)),
    service("HOME", "fra", "FILES"), service("AWAY", "sin", "FILES")];
  await writeFile(path.join(folder, "config.capnp"), `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), ${services.join(", ")}],
  sockets = [(name = "http", address = "127.0.0.1:${listen}", http = (), service = "main")]);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
  bindings = [${bindings.join(", ")}]);
`);
  await writeFile(path.join(folder, "worker.js"), await readFile(path.join(here, worker)));
  const require = createRequire(import.meta.url);
  const binary = require.resolve(`@cloudflare/workerd-linux-${process.arch === "x64" ? "64" : "arm64"}/bin/workerd`);
  const child = spawn(binary, ["serve", path.join(folder, "config.capnp")], { stdio: "inherit" });
  try {
    report(`workerd, ${worker}`, await (await untilAnswers(`http://127.0.0.1:${listen}/`)).json());
  } finally {
    child.kill();
  }
}

async function withMiniflare(ports, worker) {
  const at = (pop) => new URL(`http://127.0.0.1:${ports[pop]}/`);
  const stores = (names) => Object.fromEntries(names.map((id) => [id, { id, remoteProxyConnectionString: at("sin") }]));
  const miniflare = new Miniflare({
    modules: true,
    scriptPath: path.join(here, worker),
    compatibilityDate: "2026-01-01",
    kvNamespaces: stores(["KV", "LIMITED"]),
    d1Databases: stores(["DB", "SLOW"]),
    r2Buckets: stores(["FILES", "RATED"]),
  });
  try {
    report(`miniflare, ${worker}`, await (await miniflare.dispatchFetch("http://worker/")).json());
    const namespace = await miniflare.getKVNamespace("KV");
    await namespace.put("from node", "yes");
    const got = await namespace.get("from node");
    report("miniflare's node API", [{ name: "put and get", ok: got === "yes", got, wanted: "yes" }]);
    const database = await miniflare.getD1Database("DB");
    const one = await database.prepare("SELECT 1 AS one").first("one");
    report("miniflare's node API", [{ name: "first", ok: one === 1, got: one, wanted: 1 }]);
    const bucket = await miniflare.getR2Bucket("FILES");
    await bucket.put("from node", "yes");
    const object = await (await bucket.get("from node")).text();
    report("miniflare's node API", [{ name: "put and get of an object", ok: object === "yes", got: object, wanted: "yes" }]);
  } finally {
    await miniflare.dispose();
  }
}

async function withCluster(name, use) {
  const folder = await mkdtemp(path.join(tmpdir(), "popsim-workers-"));
  const state = path.join(folder, "state");
  const cluster = path.join(folder, "cluster.yaml");
  await writeFile(cluster, `
duration: 1s
cluster: {home: fra, pops: [fra, iad, sin], latency: none}
stores:
  KV: {type: kv, profile: none}
  LIMITED: {type: kv, profile: workers-kv}
  DB: {type: d1, delay: 50ms}
  SLOW: {type: d1, delay: 1h, timeout: 1s}
  FILES: {type: r2, write_interval: 0s}
  RATED: {type: r2, write_interval: 1s}
workload: [{every: 1s, pop: each, kv.get: {store: KV, key: a}}]
`);
  await run(popsim, ["up", "--detach", "--quiet", "--state", state, "--port", "0", cluster]);
  try {
    const status = JSON.parse((await run(popsim, ["status", "--json", "--state", state])).stdout);
    await use(folder, Object.fromEntries(status.nodes.map((node) => [node.pop, node.port])));
  } catch (error) {
    failed += 1;
    console.log(`${name}: ${error.stack}`);
  } finally {
    await run(popsim, ["down", "--clean", "--state", state]);
    await rm(folder, { recursive: true, force: true });
  }
}

await withCluster("workerd", async (folder, ports) => {
  await withWorkerd(folder, ports, "kv-worker.js", kvBindings);
  await withWorkerd(folder, ports, "d1-worker.js", d1Bindings);
  await withWorkerd(folder, ports, "r2-worker.js", r2Bindings);
});
await withCluster("miniflare", async (_folder, ports) => {
  await withMiniflare(ports, "kv-worker.js");
  await withMiniflare(ports, "d1-worker.js");
  await withMiniflare(ports, "r2-worker.js");
});
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
