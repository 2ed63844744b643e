"""What the benchmarks share: rounds that take turns, medians, processes and their CPU time, tables.

A figure is the median of several rounds, and what it is compared with ran in the same rounds, in turn with it
(A B C A B C ...), so that a machine that others use too slows both.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
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


def start_all(stack, commands, new_session=False):
    """Start servers, end them with the stack; each prints the port that it serves on. Gives ports and processes.

    In a session of its own a process shares the CPUs with other sessions as one (Linux's autogroups); a node has one.
    """
    processes = []
    for command in commands:
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, start_new_session=new_session)
        processes.append(stack.enter_context(ended(process)))
    ports = [process.stdout.readline().strip() for process in processes]
    if not all(ports):
        sys.exit(f"{commands[0]} did not start")
    return [int(port) for port in ports], [process.pid for process in processes]


@contextlib.contextmanager
def ended(process):
    """Ends the process behind the block."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def fetch(url, body=None, timeout_s=10, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=timeout_s) as answer:
        return answer.read()


def install_miniflare():
    """The pinned packages, into the build folder; gives that folder."""
    folder = ROOT / "build/bench-npm"
    lock = (HERE / "package-lock.json").read_text()
    stamp = folder / "node_modules/.installed"
    if not stamp.exists() or stamp.read_text() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)
        stamp.write_text(lock)
    return folder


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

    def describe(self):
        return json.loads((self.folder / "cluster.json").read_text())

    def node(self, pop=0):
        """Port and process of a node."""
        return self.describe()["nodes"][pop]

    def supervisor(self):
        return self.describe()["supervisor_pid"]


# ---- HTTP load ----

def load(port, path, pids, seconds, connections, cpu=1, key=None, size=100, headers=("popsim-store: CACHE",), body=None,
         rows=1, put_object=None):
    """wrk on a CPU of its own against a server's processes; an answer that is not 2xx ends the benchmark."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "15s", "-s", HERE / "wrk.lua",
               *(word for header in headers for word in ("-H", header)), f"http://127.0.0.1:{port}{path}"]
    environment = dict(os.environ, **({"KEY": key, "SIZE": str(size)} if key else {}),
                       **({"BODY": body, "ROWS": str(rows)} if body else {}),
                       **({"OBJECT": put_object, "SIZE": str(size)} if put_object else {}))
    before_s = cpu_s(pids)
    said = run(pinned(cpu, command), env=environment)
    server_s = cpu_s(pids) - before_s
    figures = json.loads(said.splitlines()[-1])
    if figures["failed"] or not figures["requests"]:
        sys.exit(f"{' '.join(map(str, command))}: not all was answered well:\n{said}")
    return {"per_s": figures["requests"] / figures["seconds"], "us": server_s / figures["requests"] * 1e6,
            "busy": server_s / figures["seconds"], "requests": figures["requests"],
            "p50_ms": figures["p50_ms"], "p99_ms": figures["p99_ms"]}


def paced(port, path, rate, seconds, connections, store="CACHE", cpu=None):
    """A fixed rate against a server, each latency from the instant at which its request was seen to be due."""
    command = [BUILD / "tools/bench/bench_paced", port, path, store, rate, seconds, connections]
    figures = json.loads(run(command if cpu is None else pinned(cpu, command)))
    if figures["failed"]:
        sys.exit(f"{' '.join(map(str, command))}: not all was answered well: {figures}")
    return figures


def show_load(taken):
    table(["server", "requests/s", "CPU us a request", "CPU busy", "p50 ms", "p99 ms"], [
        [name, spread(figures["per_s"]), spread(figures["us"]), spread(figures["busy"]),
         short(median(figures["p50_ms"])), short(median(figures["p99_ms"]))] for name, figures in taken.items()])
