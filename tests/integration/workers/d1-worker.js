// Uses every method of a D1 binding and says what it saw. Runs in real workerd and in miniflare; its bindings are a PoP
// whose replicas are behind, that of DB by 50 ms, that of SLOW by an hour: only a session may see that.
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

async function statements(DB) {
  const made = await DB.exec("DROP TABLE IF EXISTS users;\nCREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, data BLOB);");
  same("exec", [made.count, typeof made.duration], [2, "number"]);
  const put = await DB.prepare("INSERT INTO users (name, data) VALUES (?1, ?2)").bind("ann", new Uint8Array([1, 2, 255])).run();
  same("run", [put.success, put.results, put.meta.changes, put.meta.last_row_id, put.meta.changed_db],
    [true, [], 1, 1, true]);
  same("run tells of rows", [put.meta.rows_read, put.meta.rows_written], [0, 1]);
  await DB.prepare("INSERT INTO users (name) VALUES (?)").bind("bob").run();
  const all = await DB.prepare("SELECT id, name FROM users ORDER BY id").all();
  same("all", all.results, [{ id: 1, name: "ann" }, { id: 2, name: "bob" }]);
  same("all's meta", [all.success, typeof all.meta.duration, all.meta.rows_read], [true, "number", 2]);
  same("first", await DB.prepare("SELECT name FROM users WHERE id = ?").bind(2).first(), { name: "bob" });
  same("first of a column", await DB.prepare("SELECT name FROM users WHERE id = ?").bind(1).first("name"), "ann");
  same("first of nothing", await DB.prepare("SELECT name FROM users WHERE id = 9").first(), null);
  same("raw", await DB.prepare("SELECT id, data FROM users WHERE id = 1").raw(), [[1, [1, 2, 255]]]);
  same("raw with names", await DB.prepare("SELECT id AS a, 2 AS a FROM users WHERE id = 2").raw({ columnNames: true }),
    [["a", "a"], [2, 2]]);
  const odd = await DB.prepare("SELECT ? AS t, ? AS n, ? AS f, typeof(?) AS k").bind("jürgen 😀", null, true, 1).first();
  same("values", odd, { t: "jürgen 😀", n: null, f: 1, k: "real" });
  same("returning", (await DB.prepare("INSERT INTO users (name) VALUES ('cy') RETURNING id").run()).results, [{ id: 3 }]);
}

async function batches(DB) {
  const insert = DB.prepare("INSERT INTO users (id, name) VALUES (?, ?)");
  const done = await DB.batch([insert.bind(10, "x"), insert.bind(11, "y"), DB.prepare("SELECT count(*) AS n FROM users")]);
  same("batch", [done.length, done[2].results], [3, [{ n: 5 }]]);
  await failure("a batch that fails", () => DB.batch([insert.bind(12, "z"), insert.bind(10, "again")]),
    "D1_ERROR: UNIQUE constraint failed: users.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)");
  same("... is undone", await DB.prepare("SELECT count(*) AS n FROM users").first("n"), 5);
}

async function errors(DB) {
  await failure("syntax", () => DB.prepare("SELEC 1").run(), 'D1_ERROR: near "SELEC": syntax error at offset 0: SQLITE_ERROR');
  await failure("no table", () => DB.prepare("SELECT * FROM nope").all(), "D1_ERROR: no such table: nope: SQLITE_ERROR");
  await failure("no column", () => DB.prepare("SELECT 1 AS a").first("b"), "D1_COLUMN_NOTFOUND: Column not found (b)");
  await failure("parameters", () => DB.prepare("SELECT ?").run(), "D1_ERROR: Wrong number of parameter bindings for SQL query.");
  await failure("exec", () => DB.exec("SELECT * FROM nope"),
    "D1_EXEC_ERROR: Error in line 1: SELECT * FROM nope: no such table: nope: SQLITE_ERROR");
  await failure("a pragma", () => DB.prepare("PRAGMA journal_mode = WAL").run(), "D1_ERROR: not authorized: SQLITE_AUTH");
}

async function sessions(SLOW) {
  await SLOW.exec("CREATE TABLE IF NOT EXISTS t (a)");
  const stale = SLOW.withSession("first-unconstrained");
  await failure("a replica that has not seen the table", () => stale.prepare("SELECT a FROM t").all(),
    "D1_ERROR: no such table: t: SQLITE_ERROR");
  same("where from", (await stale.prepare("SELECT 1").run()).meta.served_by_primary, false);
  const session = SLOW.withSession("first-primary");
  same("no bookmark yet", session.getBookmark(), null);
  const written = await session.prepare("INSERT INTO t VALUES (1)").run();
  same("served by the primary", [written.meta.served_by_primary, written.meta.served_by_colo], [true, "FRA"]);
  const bookmark = session.getBookmark();
  same("a bookmark", /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/.test(bookmark), true);
  const second = await session.prepare("INSERT INTO t VALUES (2)").run();
  same("bookmarks ascend", session.getBookmark() > bookmark, true);
  same("a write in a session does not wait", second.meta.served_by_primary, true);
  same("plain queries go to home", await SLOW.prepare("SELECT count(*) AS n FROM t").first("n"), 2);
  await failure("a bookmark that does not come in time",
    () => SLOW.withSession(bookmark).prepare("SELECT count(*) FROM t").first(),
    "D1_ERROR: The bookmark was not reached in time: it is of LSN 2, which the policy and the link do not show at sin yet.");
}

async function ownWrites(DB) {
  const session = DB.withSession("first-unconstrained");
  for (let i = 0; i < 20; i++) {
    await session.prepare("INSERT INTO users (name) VALUES (?)").bind(`own ${i}`).run();
    const seen = await session.prepare("SELECT count(*) AS n FROM users WHERE name LIKE 'own %'").all();
    same(`own write ${i}`, [seen.results[0].n, seen.meta.served_by_primary], [i + 1, false]);
  }
  const passed = DB.withSession(session.getBookmark());
  same("a bookmark handed on", (await passed.prepare("SELECT max(name) AS m FROM users WHERE name LIKE 'own %'").first("m")), "own 9");
}

export default {
  async fetch(request, env) {
    checks.length = 0;
    try {
      for (const part of [statements, batches, errors]) {
        await part(env.DB);
      }
      await sessions(env.SLOW);
      await ownWrites(env.DB);
    } catch (error) {
      checks.push({ name: "the Worker itself", ok: false, got: String(error.stack ?? error), wanted: "no error" });
    }
    return Response.json(checks);
  },
};
