// miniflare's KV behind a Worker that answers GET /KEY with the value: what a Worker's read costs locally. And its D1:
// POST {"sql", "params"} is run, and the answer is what the binding gave.
//   node miniflare.mjs FOLDER_WITH_NODE_MODULES KEY VALUE
// Serves on a free port of 127.0.0.1 and prints it; ended by a signal.
import { createRequire } from "node:module";
import path from "node:path";

const [folder, key, value] = process.argv.slice(2);
const { Miniflare } = createRequire(path.join(path.resolve(folder), "package.json"))("miniflare");

const mf = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  modules: true,
  compatibilityDate: "2026-07-01",
  kvNamespaces: ["CACHE"],
  d1Databases: ["DB"],
  script: `export default {
    async fetch(request, env) {
      if (request.method === "POST") {
        const { sql, params } = await request.json();
        return Response.json(await env.DB.prepare(sql).bind(...params).run());
      }
      const value = await env.CACHE.get(new URL(request.url).pathname.slice(1), "arrayBuffer");
      return value === null ? new Response(null, { status: 404 }) : new Response(value);
    },
  };`,
});
const { port } = await mf.ready;
await (await mf.getKVNamespace("CACHE")).put(key, value);
console.log(port);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, async () => {
    await mf.dispose();
    process.exit(0);
  });
}
