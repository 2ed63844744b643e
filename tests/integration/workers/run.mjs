// Runs kv-worker.js in real workerd and in real, unmodified miniflare, each with its KV bindings pointed at
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

async function withWorkerd(folder, port) {
  const listen = await freePort();
  const service = (store) => `(name = "${store}", external = (address = "127.0.0.1:${port}", http = (
    injectRequestHeaders = [(name = "popsim-store", value = "${store}")])))`;
  await writeFile(path.join(folder, "config.capnp"), `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), ${service("KV")}, ${service("LIMITED")}],
  sockets = [(name = "http", address = "127.0.0.1:${listen}", http = (), service = "main")]);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
  bindings = [(name = "KV", kvNamespace = "KV"), (name = "LIMITED", kvNamespace = "LIMITED")]);
`);
  await writeFile(path.join(folder, "worker.js"), await readFile(path.join(here, "kv-worker.js")));
  const require = createRequire(import.meta.url);
  const binary = require.resolve(`@cloudflare/workerd-linux-${process.arch === "x64" ? "64" : "arm64"}/bin/workerd`);
  const child = spawn(binary, ["serve", path.join(folder, "config.capnp")], { stdio: "inherit" });
  try {
    report("workerd", await (await untilAnswers(`http://127.0.0.1:${listen}/`)).json());
  } finally {
    child.kill();
  }
}

async function withMiniflare(port) {
  const remote = new URL(`http://127.0.0.1:${port}/`);
  const miniflare = new Miniflare({
    modules: true,
    scriptPath: path.join(here, "kv-worker.js"),
    compatibilityDate: "2026-01-01",
    kvNamespaces: {
      KV: { id: "KV", remoteProxyConnectionString: remote },
      LIMITED: { id: "LIMITED", remoteProxyConnectionString: remote },
    },
  });
  try {
    report("miniflare", await (await miniflare.dispatchFetch("http://worker/")).json());
    const namespace = await miniflare.getKVNamespace("KV");
    await namespace.put("from node", "yes");
    const got = await namespace.get("from node");
    report("miniflare's node API", [{ name: "put and get", ok: got === "yes", got, wanted: "yes" }]);
  } finally {
    await miniflare.dispose();
  }
}

async function withCluster(name, use) {
  const folder = await mkdtemp(path.join(tmpdir(), "popsim-workers-"));
  const state = path.join(folder, "state");
  await run(popsim, ["up", "--detach", "--quiet", "--state", state, "--port", "0", "--pops", "fra,iad,sin", "--latency", "none",
    "--store", "KV=kv:none", "--store", "LIMITED=kv:workers-kv"]);
  try {
    const status = JSON.parse((await run(popsim, ["status", "--json", "--state", state])).stdout);
    await use(folder, status.nodes.find((node) => node.pop === "sin").port);
  } catch (error) {
    failed += 1;
    console.log(`${name}: ${error.stack}`);
  } finally {
    await run(popsim, ["down", "--clean", "--state", state]);
    await rm(folder, { recursive: true, force: true });
  }
}

await withCluster("workerd", withWorkerd);
await withCluster("miniflare", (_folder, port) => withMiniflare(port));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
