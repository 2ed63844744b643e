"""What the benchmarks share: rounds that take turns, medians, processes and their CPU time, tables.

A figure is the median of several rounds, and what it is compared with ran in the same rounds, in turn with it
(A B C A B C ...), so that a machine that others use too slows both.
"""

import argparse
import contextlib
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tools/bench"
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD", ROOT / "build/release"))
POPSIM = BUILD / "tools/popsim/popsim"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def options(text, rounds, **others):
    """The command line: --rounds N and what `others` name with their defaults."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds to take turns in (default {rounds})")
    for name, default in others.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default,
                            help=f"default {default}")
    return parser.parse_args()


def take_turns(parts, rounds, warm_up=True):
    """Call each of parts {name: function} in turn, `rounds` times, after one warm-up that does not count.

    A function returns {figure: number}. Gives {name: {figure: [number, ...]}}.
    """
    taken = {name: {} for name in parts}
    for turn in range(-1 if warm_up else 0, rounds):
        for name, run in parts.items():
            if sys.stderr.isatty():
                print(f"\r\033[K{'warm-up' if turn < 0 else f'round {turn + 1} of {rounds}'}: {name}", end="",
                      file=sys.stderr, flush=True)
            figures = run()
            for figure, number in figures.items() if turn >= 0 else ():
                taken[name].setdefault(figure, []).append(number)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return taken


def median(numbers):
    return statistics.median(numbers)


def ratio(numbers, others):
    """The median of the rounds' ratios: numbers and others of one round belong together."""
    return statistics.median(a / b for a, b in zip(numbers, others))


def short(number):
    """A number with three significant digits, large ones in thousands."""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def spread(numbers):
    """Median, least and greatest."""
    return f"{short(median(numbers))} ({short(min(numbers))} .. {short(max(numbers))})"


def table(head, rows):
    """Print columns; all but the first are aligned to the right."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths))]
        print("  " + "  ".join(cells).rstrip())
    print()


def machine():
    """One line about where this ran, and who else ran there."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"  {os.cpu_count()} CPUs ({model}), Linux {os.uname().release}, load {os.getloadavg()[0]:.1f}\n")


# ---- processes ----

def stat_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def tree(pid):
    """The process and all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(stat_of(entry)[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_s(pids):
    """User and system time that these processes have taken."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = stat_of(pid)
            total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def pss_kib(pids):
    """Memory of these processes, shared pages divided among those who share them."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total


def pinned(cpu, command):
    """The command, kept on one CPU; as it is where there is only one."""
    return ["taskset", "-c", str(cpu), *map(str, command)] if os.cpu_count() > 1 else [*map(str, command)]


def run(command, **kwargs):
    """Run to the end and give its output; a failure ends the benchmark with what it said."""
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          **kwargs)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def started(command, **kwargs):
    """A server while the block runs."""
    process = subprocess.Popen([*map(str, command)], **kwargs)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, holds, within_s=60):
    """Wait until holds() gives something true, and give that."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            result = holds()
            if result:
                return result
        time.sleep(0.01)
    sys.exit(f"{what} did not come up within {within_s} s")


def fetch(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read()


class Cluster:
    """`popsim up` in a folder of its own."""

    def __init__(self, folder, *arguments, cpu=None):
        self.folder = folder
        command = [POPSIM, "up", "--detach", "--quiet", "--fresh", "--state", folder, "--port", "0", *arguments]
        run(command if cpu is None else pinned(cpu, command))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run([POPSIM, "down", "--state", self.folder])
