"""The virtual world at size, beside the bare loop that only draws its delays, and beside SimPy. See README.md."""

import json

import rounds

SIMPY_SHARE = 1000
HISTORY_SHARE = 50
FEW_POPS = 33
POPS, WRITES, READS, SECONDS = 330, 1_000_000, 20_000_000, 200  # what scenarios/world-*.yaml say

PROGRAM = rounds.BUILD / "tools/bench/bench_world"


def with_cpu(line):
    figures = json.loads(line)
    figures["cpu_s"] = figures["user_s"] + figures["system_s"]
    return figures


def popsim(part, policy, *settings):
    scenario = rounds.HERE / f"scenarios/world-{policy}.yaml"
    return lambda: with_cpu(rounds.run([PROGRAM, part, scenario, *settings]))


def simpy(policy):
    sizes = [POPS, WRITES // SIMPY_SHARE, READS // SIMPY_SHARE, SECONDS]
    return lambda: with_cpu(rounds.run(["/usr/bin/python3", rounds.HERE / "simpy_world.py", policy, *sizes]))


def share(of):
    """Settings for a share of the operations."""
    return [f"workload.0.rate={WRITES / SECONDS / of}/s", f"workload.1.rate={READS / SECONDS / of}/s"]


def parts_of(policy):
    return {
        "whole": popsim("measure", policy),
        f"{FEW_POPS} PoPs, no faults": popsim("measure", policy, f"cluster.pops={FEW_POPS}", "faults=[]"),
        "without reads": popsim("measure", policy, "workload.1.count=1"),
        "without writes": popsim("measure", policy, "workload.0.count=1"),
        "bare draws": popsim(f"draws-{policy}", policy),
        f"1/{HISTORY_SHARE} with history": popsim("history", policy, *share(HISTORY_SHARE)),
        f"1/{SIMPY_SHARE}": popsim("measure", policy, *share(SIMPY_SHARE)),
        f"1/{SIMPY_SHARE} in SimPy": simpy(policy),
    }


def show_parts(taken):
    rows = []
    for name, figures in taken.items():
        rows.append([name, *(rounds.spread(figures[figure]) for figure in ("user_s", "cpu_s", "wall_s")),
                     rounds.short(max(figures["peak_kib"]) / 1024)])
    rounds.table(["part", "user s", "user + system s", "wall s", "peak MiB"], rows)


def per_unit_ns(more, less, units):
    """What `units` cost, by the difference of two parts of the same rounds."""
    return [(a - b) / units * 1e9 for a, b in zip(more["cpu_s"], less["cpu_s"])]


def show_rates(whole):
    reads_and_writes = whole["reads"][0] + whole["writes"][0]
    operations = reads_and_writes + whole["visibilities"][0]
    rounds.table(["rate (the goal of 20 million a second is the second line)", "million a second, CPU", "wall"], [
        [name, *(rounds.spread([count / s / 1e6 for s in whole[clock]]) for clock in ("cpu_s", "wall_s"))]
        for name, count in (("reads and writes", reads_and_writes),
                            ("reads, writes and (write, PoP) visibilities", operations))])


def each_ns(seconds, units):
    return [s / units * 1e9 for s in seconds]


def show_costs(policy, taken):
    whole, bare = taken["whole"], taken["bare draws"]
    reads, pairs = whole["reads"][0], whole["visibilities"][0]
    costs = {"a read: the whole less the run without reads": per_unit_ns(whole, taken["without reads"], reads)}
    if policy == "push":
        alone, bare_alone = "a visibility: the run without reads", "a visibility: the bare loop"
        costs[alone] = each_ns(taken["without reads"]["cpu_s"], pairs)
        costs[bare_alone] = each_ns(bare["cpu_s"], bare["visibilities"][0])
    else:
        costs["a visibility: the whole less the run without writes"] = per_unit_ns(
            whole, taken["without writes"], pairs)
        alone, bare_alone = "a read: the run without writes", "a read: the bare loop"
        costs[alone] = each_ns(taken["without writes"]["cpu_s"], reads)
        costs[bare_alone] = each_ns(bare["cpu_s"], bare["reads"][0])
    rounds.table(["cost", "ns of CPU"], [[name, rounds.spread(ns)] for name, ns in costs.items()])
    simpy_s = taken[f"1/{SIMPY_SHARE} in SimPy"]["cpu_s"]
    ratios = {
        f"{alone} : {bare_alone}": rounds.ratio(costs[alone], costs[bare_alone]),
        "the whole : its bare draws": rounds.ratio(whole["cpu_s"], bare["cpu_s"]),
        f"SimPy : popsim, both at 1/{SIMPY_SHARE}": rounds.ratio(simpy_s, taken[f"1/{SIMPY_SHARE}"]["cpu_s"]),
        f"{SIMPY_SHARE} times SimPy at 1/{SIMPY_SHARE} : the whole":
            SIMPY_SHARE * rounds.ratio(simpy_s, whole["cpu_s"]),
    }
    memory = rounds.ratio(whole["peak_kib"], taken[f"{FEW_POPS} PoPs, no faults"]["peak_kib"])
    print(f"  peak memory with {POPS} PoPs : with {FEW_POPS}, the same operations: {memory:.2f}\n")
    rounds.table(["ratio", "of CPU time"], [[name, rounds.short(number)] for name, number in ratios.items()])


def main():
    asked = rounds.options(__doc__, 3, policy="both")
    for policy in ("cache", "push") if asked.policy == "both" else (asked.policy,):
        print(f"world, {policy}: {POPS} PoPs, {WRITES:,} writes, {READS:,} Zipf reads, faults; {asked.rounds} rounds")
        rounds.machine()
        taken = rounds.take_turns(parts_of(policy), asked.rounds, warm_up=False)
        show_parts(taken)
        show_rates(taken["whole"])
        show_costs(policy, taken)


main()
