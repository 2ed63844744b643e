// D1's databases through the official SDK: made, asked, exported, imported, deleted, at two PoPs that are not their home.
// `t` has what run.mjs gives: account_id, same, refusal, collect, until.
import { createHash } from "node:crypto";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const header = "PRAGMA defer_foreign_keys=TRUE;\n";

export async function exported({ account_id }, client, id, dump_options) {
  const question = { account_id, output_format: "polling", dump_options };
  let told = await client.d1.database.export(id, question);
  while (told.status === "active") told = await client.d1.database.export(id, { ...question, current_bookmark: told.at_bookmark });
  if (told.status !== "complete") return told;
  const file = await fetch(told.result.signed_url);
  return { ...told, type: file.headers.get("content-type"), text: await file.text() };
}

// As wrangler does it: the file's place, the file, the order to take it in.
async function imported({ account_id, same }, client, id, text) {
  const etag = createHash("md5").update(text).digest("hex");
  const place = await client.d1.database.import(id, { account_id, action: "init", etag });
  const put = await fetch(place.upload_url, { method: "PUT", body: text });
  same("the upload's etag", [put.status, put.headers.get("etag")], [200, `"${etag}"`]);
  let told = await client.d1.database.import(id, { account_id, action: "ingest", etag, filename: place.filename });
  while (told.status === "active") told = await client.d1.database.import(id, { account_id, action: "poll", current_bookmark: told.at_bookmark });
  return told;
}

async function make({ account_id, same, refusal, collect, until }, sin, fra) {
  const api = sin.d1.database;
  const before = (await collect(api.list({ account_id }))).map((one) => one.name);
  const made = await api.create({ account_id, name: "Orders ü", primary_location_hint: "weur" });
  same("database", [uuid.test(made.uuid), made.name, made.version, made.read_replication], [true, "Orders ü", "production", { mode: "auto" }]);
  same("created", Math.abs(Date.parse(made.created_at) - Date.now()) < 120_000, true);
  same("database again", await refusal(() => api.create({ account_id, name: "Orders ü" })), {
    type: "BadRequestError", status: 400, code: 7502, message: "Database with name 'Orders ü' already exists" });
  same("a hint that is none", (await refusal(() => api.create({ account_id, name: "x", primary_location_hint: "mars" }))).code, 7400);
  await until(async () => (await collect(fra.d1.database.list({ account_id }))).length === before.length + 1);
  same("databases", (await collect(fra.d1.database.list({ account_id, per_page: 1 }))).map((one) => one.name), [...before, "Orders ü"]);
  same("one of them", (await collect(fra.d1.database.list({ account_id, name: "Orders ü" }))).map((one) => one.uuid), [made.uuid]);
  same("get", (await fra.d1.database.get(made.uuid, { account_id })).name, "Orders ü");
  for (const [name, mode] of [["edit", "disabled"], ["update", "auto"]]) {
    same(name, (await api[name](made.uuid, { account_id, read_replication: { mode } })).read_replication.mode, mode);
  }
  return made.uuid;
}

async function query({ account_id, same, refusal, collect }, sin, fra, id) {
  const sql = "CREATE TABLE t (a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'ü'), (2, NULL);";
  const answer = await collect(await sin.d1.database.query(id, { account_id, sql }));
  same("query", answer.map((one) => [one.success, one.results, one.meta.changes]), [[true, [], 0], [true, [], 2]]);
  const rows = await collect(await fra.d1.database.query(id, { account_id, sql: "SELECT * FROM t WHERE a < ?", params: ["9"] }));
  same("rows", rows[0].results, [{ a: 1, b: "ü" }, { a: 2, b: null }]);
  const raw = await collect(await fra.d1.database.raw(id, { account_id, sql: "SELECT a, a AS a FROM t" }));
  same("raw", raw[0].results, { columns: ["a", "a"], rows: [[1, 1], [2, 2]] });
  same("a failure", await refusal(() => sin.d1.database.query(id, { account_id, sql: "SELEC" })), {
    type: "BadRequestError", status: 400, code: 7500, message: 'near "SELEC": syntax error at offset 0: SQLITE_ERROR' });
}

async function transfer(t, sin, fra, id) {
  const { account_id, same, refusal, until } = t;
  const dump = await exported(t, sin, id, {});
  const created = "CREATE TABLE t (a INTEGER PRIMARY KEY, b);\n";
  same("export", [dump.type, dump.success, dump.text], ["application/sql", true,
    `${header}${created}INSERT INTO "t" ("a","b") VALUES(1,'ü');\nINSERT INTO "t" ("a","b") VALUES(2,NULL);\n`]);
  same("export of the schema", (await exported(t, fra, id, { no_data: true })).text, header + created);
  same("export of one table", (await exported(t, fra, id, { tables: ["u"], no_schema: true })).text, header);
  const rows = Array.from({ length: 5000 }, (_, i) => `INSERT INTO big VALUES (${i}, 'row ${i};', x'00ff');\n`).join("");
  const told = await imported(t, fra, id, `CREATE TABLE big (n, s, b);\n${rows}`);
  same("import", [told.success, told.status, told.result?.num_queries, told.result?.meta.changes], [true, "complete", 5001, 5000]);
  const failed = await imported(t, sin, id, `CREATE TABLE never (x);\n${rows}DELETE FROM nowhere;`);
  same("import that fails", [failed.success, failed.status, failed.error], [false, "error", "no such table: nowhere: SQLITE_ERROR"]);
  same("nothing of it is there", (await exported(t, sin, id, { no_data: true })).text, `${header}${created}CREATE TABLE big (n, s, b);\n`);
  const nothing = await sin.d1.database.import(id, { account_id, action: "poll", current_bookmark: "x" });
  same("a poll for nothing", nothing.error, "Not currently importing anything.");
  const etag = "0".repeat(32);
  const place = await sin.d1.database.import(id, { account_id, action: "init", etag });
  await fetch(place.upload_url, { method: "PUT", body: "SELECT 1;" });
  same("another etag", (await refusal(() => sin.d1.database.import(id, { account_id, action: "ingest", etag, filename: place.filename }))).message,
    "The uploaded file has another etag");
  same("an address that was guessed", (await fetch(`${place.upload_url}0`)).status, 404);
  // A dump of all of it makes the same again.
  const whole = (await exported(t, sin, id, {})).text;
  const copy = await fra.d1.database.create({ account_id, name: "copy" });
  same("import of a dump", (await imported(t, fra, copy.uuid, whole)).status, "complete");
  same("its dump", (await exported(t, sin, copy.uuid, {})).text, whole);
  same("delete", await fra.d1.database.delete(copy.uuid, { account_id }), null);
  await until(async () => (await refusal(() => sin.d1.database.get(copy.uuid, { account_id }))).code === 7404);
  same("delete a deleted one", (await refusal(() => fra.d1.database.delete(copy.uuid, { account_id }))).code, 7404);
  return whole;
}

// Gives the database's id, and what it holds, as SQL.
export async function databases(t, sin, fra) {
  const id = await make(t, sin, fra);
  await query(t, sin, fra, id);
  return { id, whole: await transfer(t, sin, fra, id) };
}
