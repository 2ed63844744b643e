"""A PoP's KV reads over HTTP, beside a hello-world on the same libraries, and beside miniflare's KV. See README.md."""

import contextlib
import functools
import pathlib
import tempfile

import rounds

SERVER_CPU, LOAD_CPU = 0, 1
KEY, VALUE = "user:1", "v" * 100


def start_popsim(stack, folder):
    cluster = stack.enter_context(rounds.Cluster(folder, "--pops", "fra", "--store", "CACHE=kv", cpu=SERVER_CPU))
    node = cluster.node()
    rounds.run([rounds.POPSIM, "kv", "--state", folder, "put", "--pop", "fra", "CACHE", KEY, VALUE])
    return node["api_port"], [node["pid"]]


def start_hello(stack):
    (port,), pids = rounds.start_all(stack, [rounds.pinned(SERVER_CPU, [rounds.BUILD / "tools/bench/bench_hello"])])
    return port, pids


def start_miniflare(stack):
    command = ["node", rounds.HERE / "miniflare.mjs", rounds.install_miniflare(), KEY, VALUE]
    (port,), (pid,) = rounds.start_all(stack, [rounds.pinned(SERVER_CPU, command)])
    return port, rounds.tree(pid)


def main():
    asked = rounds.options(__doc__, 5, seconds=3, connections=64)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="popsim-bench-")))
        servers = {
            "popsim, KV read": (start_popsim(stack, folder), f"/{KEY}"),
            "hello-world, llhttp + libev": (start_hello(stack), "/"),
            "miniflare, KV read": (start_miniflare(stack), f"/{KEY}"),
        }
        print(f"http: GET of {len(VALUE)} bytes, {asked.connections} connections kept alive, {asked.rounds} rounds of "
              f"{asked.seconds} s; server on CPU {SERVER_CPU}, wrk on CPU {LOAD_CPU}")
        rounds.machine()
        taken = rounds.take_turns({
            name: functools.partial(rounds.load, port, path, pids, asked.seconds, asked.connections, LOAD_CPU)
            for name, ((port, pids), path) in servers.items()}, asked.rounds)
    rounds.show_load(taken)
    ours, hello, miniflare = taken.values()
    rounds.table(["ratio", "goal", "requests/s", "CPU a request"], [
        ["popsim : hello-world", "0.7", rounds.short(rounds.ratio(ours["per_s"], hello["per_s"])),
         rounds.short(rounds.ratio(hello["us"], ours["us"]))],
        ["popsim : miniflare", "10", rounds.short(rounds.ratio(ours["per_s"], miniflare["per_s"])),
         rounds.short(rounds.ratio(miniflare["us"], ours["us"]))]])


main()
