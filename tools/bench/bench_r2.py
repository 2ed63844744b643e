"""GETs of a 64 MiB blob from its home over HTTP, beside nginx serving the same file; durable PUTs of 4 KiB beside files
that are written and synced. See README.md."""

import contextlib
import functools
import getpass
import http.client
import itertools
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import rounds

SERVER_CPU, LOAD_CPU = 0, 1
PUT_SIZE = 4096
PUT_WIDTHS = (1, 64)
BLOB = "0123456789abcdef0123456789abcdef"
PATH = f"/popsim/blobs/ASSETS/{BLOB}"
NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {root}; }}
    }}
}}
"""


def put_blob(port, token, size):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("PUT", PATH, body=bytes(range(256)) * (size // 256),
                       headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        sys.exit(f"the blob was not taken: {answer.status} {said}")
    connection.close()


def start_popsim(stack, folder, size):
    cluster = stack.enter_context(rounds.Cluster(folder, "--pops", "fra", "--store", "ASSETS=r2", cpu=SERVER_CPU))
    node, token = cluster.node(), cluster.describe()["token"]
    put_blob(node["api_port"], token, size)
    return node["api_port"], [node["pid"]], token


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nginx(stack, folder, root):
    port = free_port()
    folder.mkdir()
    user = f"user {getpass.getuser()};" if getpass.getuser() == "root" else ""
    (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder, port=port, root=root))
    process = subprocess.Popen(
        rounds.pinned(SERVER_CPU, ["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]),
        stdout=subprocess.PIPE)
    stack.enter_context(rounds.ended(process))
    for _ in range(500):
        with contextlib.suppress(OSError):
            rounds.fetch(f"http://127.0.0.1:{port}/{BLOB}", Range="bytes=0-0")  # its worker is there, too
            return port, rounds.tree(process.pid)
        time.sleep(0.01)
    return sys.exit("nginx did not start")


def bench_get(stack, asked, folder):
    port, pids, token = start_popsim(stack, folder / "state", asked.mib << 20)
    root = folder / "state/pop-fra/blobs/ASSETS"
    other_port, other_pids = start_nginx(stack, folder / "nginx", root)
    print(f"r2: GET of {asked.mib} MiB, {asked.connections} connections kept alive, {asked.rounds} rounds of "
          f"{asked.seconds} s; server on CPU {SERVER_CPU}, wrk on CPU {LOAD_CPU}")
    rounds.machine()
    get = functools.partial(rounds.load, seconds=asked.seconds, connections=asked.connections, cpu=LOAD_CPU)
    taken = rounds.take_turns({
        "popsim, a blob at home": functools.partial(get, port, PATH, pids,
                                                    headers=[f"Authorization: Bearer {token}"]),
        "nginx, the same file": functools.partial(get, other_port, f"/{BLOB}", other_pids, headers=[]),
    }, asked.rounds)
    rounds.show_load(taken)
    ours, nginx = taken.values()
    rounds.table(["ratio", "goal", "requests/s", "CPU a request"], [
        ["popsim : nginx", "0.7", rounds.short(rounds.ratio(ours["per_s"], nginx["per_s"])),
         rounds.short(rounds.ratio(nginx["us"], ours["us"]))]])


def put_objects(node, asked, connections, turn=itertools.count()):
    """Each a key of its own, in the binding's protocol, acknowledged when it is on the disk."""
    return rounds.load(node["api_port"], "/", [node["pid"]], asked.seconds, connections, LOAD_CPU, headers=[],
                       put_object=f"round-{next(turn)}-", size=PUT_SIZE)


def write_files(near, asked, threads, how):
    with tempfile.TemporaryDirectory(dir=near) as folder:
        figures = json.loads(rounds.run(rounds.pinned(SERVER_CPU, [
            rounds.BUILD / "tools/bench/bench_files", folder, asked.seconds, threads, PUT_SIZE, how])))
    return {"per_s": figures["files"] / figures["wall_s"], "us": figures["cpu_s"] / figures["files"] * 1e6}


def bench_put(stack, asked, folder):
    cluster = stack.enter_context(
        rounds.Cluster(folder / "put", "--pops", "fra", "--store", "ASSETS=r2", cpu=SERVER_CPU))
    node = cluster.node()
    print(f"r2: PUT of {PUT_SIZE} bytes, a new key each, durability sync, {asked.rounds} rounds of {asked.seconds} s; "
          f"server and files on CPU {SERVER_CPU}, wrk on CPU {LOAD_CPU}")
    rounds.machine()
    ratios = []
    for width in PUT_WIDTHS:
        taken = rounds.take_turns({
            f"popsim, {width} at a time": functools.partial(put_objects, node, asked, width),
            f"write, fsync; {width} threads": functools.partial(write_files, folder, asked, width, "write"),
            f"... rename, fsync of the folder; {width} threads":
                functools.partial(write_files, folder, asked, width, "rename"),
        }, asked.rounds)
        rounds.table(["writer", "puts/s", "CPU us a put"], [
            [name, rounds.spread(figures["per_s"]), rounds.spread(figures["us"])] for name, figures in taken.items()])
        ours, *others = taken.values()
        ratios += [[f"popsim : {name}", *(rounds.short(rounds.ratio(ours[figure], figures[figure]))
                                          for figure in ("per_s", "us"))]
                   for name, figures in zip(list(taken)[1:], others)]
    rounds.table(["ratio", "puts/s", "CPU a put"], ratios)


def main():
    asked = rounds.options(__doc__, 5, seconds=3, connections=4, mib=64, only="all")
    parts = {"get": bench_get, "put": bench_put}
    if asked.only not in ("all", *parts):
        sys.exit(f"--only {asked.only}: get or put")
    for name, bench in parts.items():
        if asked.only in ("all", name):
            with contextlib.ExitStack() as stack:
                bench(stack, asked,
                      pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="popsim-bench-"))))


main()
