"""SQLite over the versioned map beside SQLite over a file; and D1 on a running cluster. See README.md."""

import contextlib
import functools
import json
import subprocess
import tempfile

import d1_live
import rounds

PAGES, FILE, SYNC, FULL, OFF = "pages-relaxed", "file-normal", "pages-sync", "file-full", "file-off"
NAMES = {PAGES: "popsim, relaxed", FILE: "file, WAL, NORMAL", SYNC: "popsim, sync", FULL: "file, WAL, FULL",
         OFF: "file, WAL, OFF"}

# What is done, how often in a round, between whom, and what popsim's rate is to be of the other's.
READS = [("point read", "read", 50000, PAGES, FILE, "4.0"),
         ("point read, as a request", "text", 20000, PAGES, FILE, "-")]
BEYOND = [("point read beyond the caches", "read", 50000, PAGES, FILE, "-")]
WRITES = [("insert", "insert", 2000, PAGES, FILE, "1.0"),
          ("insert, no promise", "insert", 2000, PAGES, OFF, "-"),
          ("100-row batch", "batch", 5000, PAGES, FILE, "1.0"),
          ("100-row batch, no promise", "batch", 5000, PAGES, OFF, "-"),
          ("insert, synced", "insert", 200, SYNC, FULL, "0.6"),
          ("100-row batch, synced", "batch", 2000, SYNC, FULL, "0.6"),
          ("insert, as a request", "put", 2000, PAGES, FILE, "-")]


class Library:
    """bench_d1, which does a little for one side when it is asked to."""

    def __init__(self, stack, rows):
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="popsim-bench-"))
        command = rounds.pinned(0, [rounds.BUILD / "tools/bench/bench_d1", folder, rows])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(self.end)
        self.read_line()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def read_line(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("bench_d1 failed")
        return line

    def run(self, side, work, count):
        self.process.stdin.write(f"{side} {work} {count}\n")
        self.process.stdin.flush()
        figures = json.loads(self.read_line())
        count, wall_s, cpu_s = (figures.pop(name) for name in ("count", "wall_s", "cpu_s"))
        return {"per_s": count / wall_s, "us": cpu_s / count * 1e6, **figures}


def library(asked, rows, work):
    """Each (side, work) of `work` in turn; gives {(side, work): figures}."""
    with contextlib.ExitStack() as stack:
        process = Library(stack, rows)
        parts = {}
        for _, name, count, *sides, _ in work:
            for side in sides:
                parts[side, name] = functools.partial(process.run, side, name, count)
        return rounds.take_turns(parts, asked.rounds)


def show_library(taken, work):
    rounds.table(["work", "side", "a second", "CPU us"], [
        [text, NAMES[side], *(rounds.spread(taken[side, name][figure]) for figure in ("per_s", "us"))]
        for text, name, _, *sides, _ in work for side in sides])
    rounds.table(["ratio", "goal", "a second", "CPU"], [
        [f"{text}: {NAMES[ours]} : {NAMES[other]}", goal,
         rounds.short(rounds.ratio(taken[ours, name]["per_s"], taken[other, name]["per_s"])),
         rounds.short(rounds.ratio(taken[other, name]["us"], taken[ours, name]["us"]))]
        for text, name, _, ours, other, goal in work])


def show_bytes(taken):
    figures = {name: rounds.median(taken[PAGES, "insert"][name])
               for name in ("wire_p50", "wire_mean", "wire_p99", "wire_max", "whole_mean")}
    rounds.table(["bytes of an insert to each replica", "goal", "mean", "p50", "p99", "most", "share of whole pages"], [
        ["one row, one index", "2,048", *(rounds.short(figures[name])
                                          for name in ("wire_mean", "wire_p50", "wire_p99", "wire_max")),
         rounds.short(figures["wire_mean"] / figures["whole_mean"])]])


def run_library(asked):
    print(f"d1: a table of {asked.rows:,} rows to begin with (id, indexed text, 100-byte blob), {asked.rounds} rounds; "
          f"one process on CPU 0")
    rounds.machine()
    show_library(library(asked, asked.rows, READS), READS)
    print(f"  {10 * asked.rows:,} rows: more than a side's cache holds\n")
    show_library(library(asked, 10 * asked.rows, BEYOND), BEYOND)
    taken = library(asked, asked.rows, WRITES)
    show_library(taken, WRITES)
    show_bytes(taken)


def main():
    asked = rounds.options(__doc__, 9, rows=20000, only="", live_rounds=3, seconds=2, connections=16, query_seconds=5,
                           paced_rounds=9, paced_seconds=4, rate=2000)
    if asked.only not in ("", "library", "live", "keys"):
        raise SystemExit("--only library, live, or keys (a part of live)")
    if asked.only in ("", "library"):
        run_library(asked)
    if asked.only != "library":
        asked.rounds = asked.live_rounds
        d1_live.main(asked)


main()
