"""D1 on a running cluster: what a query of seconds does to keys, what catching up does, miniflare's D1. See README.md."""

import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import tempfile
import threading
import time

import rounds

SERVER_CPU, LOAD_CPU = 0, 1
KEPT = "/user:1?cache_ttl=86400"  # so that no round trip to home falls into a round
ANYWHERE = {"x-cf-d1-session-commit-token": "first-unconstrained"}
COUNT_TO = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT count(*) AS n FROM n"
SCHEMA = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, body TEXT); CREATE INDEX by_name ON t(name)"
FILL = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
        "INSERT INTO t(name, body) SELECT 'first-' || i, printf('%0100d', i) FROM n")
TRANSACTIONS = 4
LARGE = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
         "INSERT INTO large SELECT i, randomblob(4000) FROM n")
READ = json.dumps({"sql": "SELECT id, name, body FROM t WHERE id = ?1", "params": ["ROW"]}).replace('"ROW"', "ROW")
INSERT = json.dumps({"sql": "INSERT INTO t(name, body) VALUES(?1, ?2)", "params": ["user-COUNT", "x" * 100]})


def ask(port, sql, params=(), headers=None, path="/query"):
    """Run a statement as the binding does; gives its answer."""
    body = json.dumps({"sql": sql, "params": list(params)}).encode()
    answer = json.loads(rounds.fetch(f"http://127.0.0.1:{port}{path}", body, 60, **{"popsim-store": "DB"}, **(headers or {})))
    first = answer[0] if isinstance(answer, list) else answer
    if not first["success"]:
        raise SystemExit(f"{sql}: {answer}")
    return first["results"]


def took_s(function):
    begin_s = time.monotonic()
    function()
    return time.monotonic() - begin_s


# ---- keys beside a query ----

class Keys:
    """Reads of a key at a PoP, alone or while a query runs there."""

    def __init__(self, cluster, pop, asked, read):
        self.node = cluster.node(pop)
        self.read = read
        self.rows = 1000000
        self.rows = int(self.rows * asked.query_seconds / took_s(self.query))

    def query(self):
        ask(self.node["api_port"], COUNT_TO.format(self.rows), headers=ANYWHERE)

    def idle(self):
        return self.read(self.node)

    def busy(self):
        query = threading.Thread(target=self.query)
        query.start()
        figures = self.idle()
        figures["outlasted"] = query.is_alive()
        query.join()
        return figures


def check_outlasted(taken):
    if not all(all(figures["outlasted"]) for figures in taken.values() if "outlasted" in figures):
        print("  a query ended before the reads did: give more --query-seconds\n")


def start_cluster(stack, cpu=None):
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="popsim-bench-")))
    cluster = stack.enter_context(rounds.Cluster(folder, "--pops", "fra,syd", "--store", "CACHE=kv", "--store", "DB=d1",
                                                 cpu=cpu))
    rounds.run([rounds.POPSIM, "kv", "--state", folder, "put", "--pop", "fra", "CACHE", "user:1", "v" * 100])
    return cluster


# ---- ... at a fixed rate, processes where the machine puts them, or all servers on one CPU ----

PERCENTILES = ("p50", "p99", "p999")


class Hello:
    """A hello-world with and without a thread that computes; the one that does is stopped when nobody looks."""

    def __init__(self, stack, read, cpu):
        commands = [[rounds.BUILD / "tools/bench/bench_hello", *how] for how in ([], ["busy"])]
        commands = commands if cpu is None else [rounds.pinned(cpu, command) for command in commands]
        self.read = read
        (self.port, self.busy_port), (_, self.pid) = rounds.start_all(stack, commands, new_session=True)
        os.kill(self.pid, signal.SIGSTOP)
        stack.callback(os.kill, self.pid, signal.SIGCONT)

    def idle(self):
        return self.read({"api_port": self.port})

    def busy(self):
        os.kill(self.pid, signal.SIGCONT)
        try:
            return self.read({"api_port": self.busy_port})
        finally:
            os.kill(self.pid, signal.SIGSTOP)


def keys_at_a_rate(stack, asked, cpu=None):
    def read(node):
        return rounds.paced(node["api_port"], KEPT, asked.rate, asked.paced_seconds, asked.connections,
                            cpu=None if cpu is None else LOAD_CPU)

    cluster = start_cluster(stack, cpu)
    servers = {"hello-world": Hello(stack, read, cpu), "home": Keys(cluster, 0, asked, read),
               "replica": Keys(cluster, 1, asked, read)}
    taken = rounds.take_turns({f"{name}, {how}": getattr(server, how) for name, server in servers.items()
                               for how in ("idle", "busy")}, asked.paced_rounds)
    check_outlasted(taken)
    print(f"  KV reads at a PoP, {asked.rate:,} a second over {asked.connections} connections, latency from the instant at "
          f"which the sender saw that it is due; idle and while a D1 query of {asked.query_seconds} s runs there. hello-world: idle and "
          f"while a thread of it computes. {'Processes where the machine puts them' if cpu is None else f'All servers on CPU {cpu}'}\n")
    rounds.table(["server", "p50 us", "p99 us", "p99.9 us", "sender late, p99 us"], [
        [name, *(rounds.spread(figures[f"{which}_us"]) for which in (*PERCENTILES, "late_p99"))]
        for name, figures in taken.items()])
    rounds.table(["ratio", "p50", "p99", "p99.9"], [
        [text, *(rounds.short(rounds.ratio(taken[a][f"{which}_us"], taken[b][f"{which}_us"])) for which in PERCENTILES)]
        for text, a, b in [*((f"{name}, busy : idle", f"{name}, busy", f"{name}, idle") for name in servers),
                           *((f"{name} : hello-world, both {how}", f"{name}, {how}", f"hello-world, {how}")
                             for name in ("home", "replica") for how in ("idle", "busy"))]])


# ---- ... as many as there can be, all on one CPU ----

class CatchingUp:
    """Reads of a key at home while a replica that was stopped catches up with large transactions."""

    def __init__(self, cluster, keys):
        self.cluster = cluster
        self.keys = keys
        ask(self.port(0), "CREATE TABLE large(id INTEGER PRIMARY KEY, body)")

    def port(self, pop):
        return self.cluster.node(pop)["api_port"]

    def lsn(self, pop):
        text = rounds.fetch(f"http://127.0.0.1:{self.port(pop)}/metrics").decode()
        return int(re.search(r'^popsim_have_lsn\{.*store="DB".*\} (\d+)', text, re.M).group(1))

    def run(self):
        pid = self.cluster.node(1)["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(TRANSACTIONS):
                ask(self.port(0), LARGE)
                ask(self.port(0), "DELETE FROM large")
        finally:
            os.kill(pid, signal.SIGCONT)
        figures = self.keys.idle()
        until_s = time.monotonic() + 120
        while self.lsn(1) < self.lsn(0):
            if time.monotonic() > until_s:
                raise SystemExit("the replica does not catch up")
            time.sleep(0.05)
        return figures


def keys_on_one_cpu(stack, asked):
    def read(node):
        return rounds.load(node["api_port"], KEPT, [node["pid"]], asked.seconds, asked.connections, LOAD_CPU)

    cluster = start_cluster(stack, SERVER_CPU)
    pops = {"home": Keys(cluster, 0, asked, read), "replica": Keys(cluster, 1, asked, read)}
    catching_up = CatchingUp(cluster, pops["home"])
    parts = {f"{name}, {how}": getattr(keys, how) for name, keys in pops.items() for how in ("idle", "busy")}
    parts["home, replica catches up"] = catching_up.run
    taken = rounds.take_turns(parts, asked.rounds)
    check_outlasted(taken)
    print(f"  KV reads at a PoP, as many as it can, {asked.connections} connections, idle and while a D1 query of "
          f"{asked.query_seconds} s runs there, and at home while a replica catches up with {TRANSACTIONS} transactions "
          f"of 20 MB; all on CPU {SERVER_CPU}\n")
    rounds.show_load(taken)
    rounds.table(["ratio to the same PoP idle", "p50", "p99", "requests/s"], [
        [name, *(rounds.short(rounds.ratio(taken[name][figure], taken[f"{name.split(',')[0]}, idle"][figure]))
                 for figure in ("p50_ms", "p99_ms", "per_s"))] for name in taken if not name.endswith("idle")])


# ---- beside miniflare ----

def beside_miniflare(stack, asked):
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="popsim-bench-")))
    cluster = stack.enter_context(rounds.Cluster(folder, "--pops", "fra", "--store", "DB=d1", "--durability", "relaxed",
                                                 cpu=SERVER_CPU))
    node = cluster.node()
    command = ["node", rounds.HERE / "miniflare.mjs", rounds.install_miniflare(), "user:1", "v"]
    (port,), (pid,) = rounds.start_all(stack, [rounds.pinned(SERVER_CPU, command)])
    servers = {"popsim": (node["api_port"], "/query", [node["pid"]]), "miniflare": (port, "/", rounds.tree(pid))}
    parts = {}
    for name, (port, path, pids) in servers.items():
        for sql in SCHEMA.split("; "):
            ask(port, sql, path=path)
        ask(port, FILL.format(asked.rows), path=path)
        for what, body in (("SELECT by id", READ), ("INSERT", INSERT)):
            parts[f"{name}, {what}"] = lambda port=port, path=path, pids=pids, body=body: rounds.load(
                port, path, pids, asked.seconds, asked.connections, LOAD_CPU, headers=["popsim-store: DB"], body=body,
                rows=asked.rows)
    taken = rounds.take_turns(parts, asked.rounds)
    for name, (port, path, _) in servers.items():
        (row,) = ask(port, "SELECT count(*) AS n FROM t", path=path)
        if row["n"] < asked.rows + sum(taken[f"{name}, INSERT"]["requests"]):
            raise SystemExit(f"{name} has answered more inserts than it has rows")
    print(f"  One statement a request, {asked.connections} connections, server on CPU {SERVER_CPU}\n")
    rounds.show_load(taken)
    rounds.table(["popsim : miniflare", "requests/s", "CPU a request"], [
        [what, rounds.short(rounds.ratio(taken[f"popsim, {what}"]["per_s"], taken[f"miniflare, {what}"]["per_s"])),
         rounds.short(rounds.ratio(taken[f"miniflare, {what}"]["us"], taken[f"popsim, {what}"]["us"]))]
        for what in ("SELECT by id", "INSERT")])


def main(asked):
    for part in (keys_at_a_rate, functools.partial(keys_at_a_rate, cpu=SERVER_CPU), keys_on_one_cpu):
        with contextlib.ExitStack() as stack:
            part(stack, asked)
    if asked.only == "keys":
        return
    with contextlib.ExitStack() as stack:
        beside_miniflare(stack, asked)
