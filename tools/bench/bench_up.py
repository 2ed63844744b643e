"""A cluster of 100 PoP processes: until all serve, and memory when idle; beside as many hello-worlds. See README.md."""

import contextlib
import pathlib
import tempfile
import time

import rounds

SPAWN = rounds.BUILD / "tools/bench/bench_spawn"
HELLO = rounds.BUILD / "tools/bench/bench_hello"


def resting(pids, seconds):
    """What processes hold and take when nobody asks them anything."""
    before_s, begin_s = rounds.cpu_s(pids), time.monotonic()
    time.sleep(seconds)
    busy = (rounds.cpu_s(pids) - before_s) / (time.monotonic() - begin_s)
    pss_mib = rounds.pss_kib(pids) / 1024
    return {"pss_mib": pss_mib, "each_mib": pss_mib / len(pids), "busy": busy}


def cluster(asked):
    with tempfile.TemporaryDirectory(prefix="popsim-bench-") as folder:
        state = pathlib.Path(folder) / "state"
        begin_s = time.monotonic()
        with rounds.Cluster(state, "--pops", str(asked.pops), "--store", "CACHE=kv") as up:
            up_s = time.monotonic() - begin_s
            for pop in range(asked.pops):  # "all serve" is what the command claims
                rounds.fetch(f"http://127.0.0.1:{up.node(pop)['api_port']}/healthz")
            figures = resting(rounds.tree(up.supervisor()), asked.seconds)
            begin_s = time.monotonic()
        return {"up_s": up_s, "down_s": time.monotonic() - begin_s, **figures}


def hellos(asked):
    """Each prints its port once it listens."""
    with contextlib.ExitStack() as stack:
        begin_s = time.monotonic()
        ports, pids = rounds.start_all(stack, [[HELLO]] * asked.pops)
        up_s = time.monotonic() - begin_s
        for port in ports:
            rounds.fetch(f"http://127.0.0.1:{port}/")
        return {"up_s": up_s, **resting(pids, asked.seconds)}


def main():
    asked = rounds.options(__doc__, 3, pops=100, seconds=3)
    print(f"up: {asked.pops} PoP processes, {asked.rounds} rounds")
    rounds.machine()
    taken = rounds.take_turns({
        "popsim up --detach": lambda: cluster(asked),
        "hello-worlds (llhttp + libev)": lambda: hellos(asked),
        "/bin/true, fork, exec and exit": lambda: {"up_s": float(rounds.run([SPAWN, asked.pops, "/bin/true"]))},
    }, asked.rounds)
    rows = []
    for name, figures in taken.items():
        rows.append([name, *(rounds.spread(figures[figure]) if figure in figures else ""
                             for figure in ("up_s", "pss_mib", "each_mib", "busy", "down_s"))])
    rounds.table([f"{asked.pops} processes", "s until all serve", "PSS MiB", "PSS MiB each", "CPUs when idle",
                  "s until down"], rows)
    ours, hello, true = taken.values()
    rounds.table(["ratio", "s until all serve", "PSS"], [
        ["popsim : hello-worlds", rounds.short(rounds.ratio(ours["up_s"], hello["up_s"])),
         rounds.short(rounds.ratio(ours["pss_mib"], hello["pss_mib"]))],
        ["popsim : /bin/true", rounds.short(rounds.ratio(ours["up_s"], true["up_s"])), ""]])
    print("  goals for 100 PoPs on two CPUs: less than 5 s, less than 1024 MiB\n")


main()
