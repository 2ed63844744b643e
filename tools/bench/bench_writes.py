"""Acknowledged durable writes over HTTP, beside LMDB's own group commits of as many records. See README.md."""

import contextlib
import json
import pathlib
import re
import tempfile

import rounds

SERVER_CPU, LOAD_CPU = 0, 1
VALUE_SIZE = 100
RECORD_SIZE = VALUE_SIZE + 50  # with key, commit time, token and frame: what the log holds of one


class Popsim:
    def __init__(self, stack, folder, asked):
        self.cluster = stack.enter_context(
            rounds.Cluster(folder, "--pops", "fra", "--store", "CACHE=kv", cpu=SERVER_CPU))
        self.node = self.cluster.node()
        self.asked = asked
        self.turn = 0
        self.batch = 1

    def counters(self):
        text = rounds.fetch(f"http://127.0.0.1:{self.node['api_port']}/metrics").decode()
        return [int(re.search(rf"^popsim_{name}_total\{{.*\}} (\d+)", text, re.M).group(1))
                for name in ("records", "commits")]

    def run(self):
        self.turn += 1
        before = self.counters()
        figures = rounds.load(self.node["api_port"], "/", [self.node["pid"]], self.asked.seconds,
                              self.asked.connections, LOAD_CPU, key=f"round-{self.turn}-", size=VALUE_SIZE)
        records, commits = (now - then for now, then in zip(self.counters(), before))
        self.batch = max(1, round(records / commits))
        return {**figures, "commits_per_s": figures["per_s"] * commits / records, "batch": records / commits}


def lmdb(near, asked, popsim):
    """LMDB alone, in the batches that popsim made a moment ago."""
    with tempfile.TemporaryDirectory(dir=near) as folder:
        command = [rounds.BUILD / "tools/bench/bench_lmdb", folder, asked.seconds, popsim.batch, RECORD_SIZE]
        figures = json.loads(rounds.run(rounds.pinned(SERVER_CPU, command)))
    return {"per_s": figures["records"] / figures["wall_s"], "us": figures["cpu_s"] / figures["records"] * 1e6,
            "commits_per_s": figures["commits"] / figures["wall_s"], "batch": figures["records"] / figures["commits"]}


def main():
    asked = rounds.options(__doc__, 5, seconds=3, connections=256)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="popsim-bench-")))
        popsim = Popsim(stack, folder / "state", asked)
        print(f"writes: PUT of {VALUE_SIZE} bytes, a new key each, durability sync, {asked.connections} connections, "
              f"{asked.rounds} rounds of {asked.seconds} s; server on CPU {SERVER_CPU}, wrk on CPU {LOAD_CPU}")
        rounds.machine()
        taken = rounds.take_turns({
            "popsim, acknowledged over HTTP": popsim.run,
            "LMDB alone, as many records a commit": lambda: lmdb(folder, asked, popsim)}, asked.rounds)
    rounds.table(["writer", "records/s", "commits/s", "records a commit", "CPU us a record"], [
        [name, *(rounds.spread(figures[figure]) for figure in ("per_s", "commits_per_s", "batch", "us"))]
        for name, figures in taken.items()])
    ours, alone = taken.values()
    print(f"  a write's answer at popsim: p50 {rounds.short(rounds.median(ours['p50_ms']))} ms, "
          f"p99 {rounds.short(rounds.median(ours['p99_ms']))} ms\n")
    rounds.table(["ratio", "records/s", "commits/s", "CPU a record"], [
        ["popsim : LMDB alone", *(rounds.short(rounds.ratio(ours[figure], alone[figure]))
                                  for figure in ("per_s", "commits_per_s", "us"))]])


main()
