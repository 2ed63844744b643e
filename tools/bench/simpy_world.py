"""The work of the benchmark `world`, as one would write it with SimPy: prints a line of JSON.

    simpy_world.py cache|push PoPs writes reads seconds

The same sizes, distributions and measures as scenarios/world-*.yaml: Poisson writes of uniform keys and reads of
Zipf keys at random PoPs, a write's way home and back, a cache entry or an exponential delay, cut links, and for each
read how stale it was, for each (write, PoP) when it became visible. Simpler than popsim where that makes it faster:
no crashes, no slow links, no write's value.
"""

import bisect
import itertools
import json
import random
import resource
import sys
import time

import simpy

KEYS = 10_000
TTL_S = 60.0
DELAY_MIN_S = 0.020
DELAY_MEAN_S = 0.100
OUTAGES = {11: (20.0, 50.0), 23: (80.0, 110.0), 42: (80.0, 110.0), 77: (80.0, 110.0)}  # PoP: from, until


class World:
    def __init__(self, pops, writes, reads, seconds):
        self.env = simpy.Environment()
        self.random = random.Random(1)
        self.pops = pops
        self.rtt_s = [0.3 * pop / pops for pop in range(pops)]
        self.write_hz = writes / seconds
        self.read_hz = reads / seconds
        self.seconds = seconds
        self.commits = [[] for _ in range(KEYS)]  # of each key: the times
        self.zipf = list(itertools.accumulate(1 / rank ** 0.99 for rank in range(1, KEYS + 1)))
        self.writes = self.reads = self.stale = self.visibilities = 0
        self.age_s = self.visible_s = 0.0

    def zipf_key(self):
        return min(bisect.bisect(self.zipf, self.random.random() * self.zipf[-1]), KEYS - 1)

    def outage_end(self, pop, from_s, until_s):
        """When the outage ends that meets [from, until]; 0 = there is none."""
        outage = OUTAGES.get(pop)
        return outage[1] if outage and outage[0] <= until_s and from_s < outage[1] else 0

    def writer(self):
        while True:
            yield self.env.timeout(self.random.expovariate(self.write_hz))
            self.env.process(self.write(self.random.randrange(self.pops), self.random.randrange(KEYS)))

    def reader(self):
        while True:
            yield self.env.timeout(self.random.expovariate(self.read_hz))
            self.read(self.random.randrange(self.pops), self.zipf_key())

    def write(self, pop, key):
        half_s = self.rtt_s[pop] / 2
        if self.outage_end(pop, self.env.now, self.env.now + 2 * half_s):
            return
        yield self.env.timeout(half_s)
        self.commits[key].append(self.env.now)
        self.writes += 1
        self.committed(key)
        yield self.env.timeout(half_s)
        self.answered(pop, key)

    def count_read(self, key, shown):
        """A read that was given the first `shown` versions of its key."""
        commits = self.commits[key]
        self.reads += 1
        if shown < len(commits):
            self.stale += 1
            self.age_s += self.env.now - commits[shown]

    def run(self):
        self.env.process(self.writer())
        self.env.process(self.reader())
        self.env.run(until=self.seconds)
        self.finish()


class CacheWorld(World):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.pins = [{} for _ in range(self.pops)]  # of each PoP: key: (versions shown, until)

    def read(self, pop, key):
        pin = self.pins[pop].get(key)
        if pin and pin[1] > self.env.now:
            self.count_read(key, pin[0])
        elif not self.outage_end(pop, self.env.now, self.env.now + self.rtt_s[pop]):
            self.env.process(self.fetch(pop, key))

    def fetch(self, pop, key):
        yield self.env.timeout(self.rtt_s[pop] / 2)
        shown = len(self.commits[key])
        self.show(pop, key, shown, self.env.now + TTL_S)
        yield self.env.timeout(self.rtt_s[pop] / 2)
        self.count_read(key, shown)

    def committed(self, key):
        pass

    def answered(self, pop, key):
        self.show(pop, key, len(self.commits[key]), self.env.now + TTL_S)

    def show(self, pop, key, shown, until_s):
        """The PoP shows more of the key: what it did not show before is visible now."""
        before = self.pins[pop].get(key)
        for commit_s in self.commits[key][before[0] if before else shown:shown]:
            self.visibilities += 1
            self.visible_s += self.env.now - commit_s
        self.pins[pop][key] = (shown, until_s)

    def finish(self):
        self.visibilities = self.writes * self.pops  # the others no entry ever hid


class PushWorld(World):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.lsns = [[] for _ in range(KEYS)]
        self.log = []  # commit times
        self.visible = [0] * self.pops  # of each PoP: the LSN up to which it shows the log
        self.last_s = [0.0] * self.pops  # and when the last record drawn is visible

    def read(self, pop, key):
        self.count_read(key, bisect.bisect(self.lsns[key], self.visible[pop]))

    def committed(self, key):
        now_s = self.env.now
        self.log.append(now_s)
        lsn = len(self.log)
        self.lsns[key].append(lsn)
        for pop in range(self.pops):
            delay_s = DELAY_MIN_S + self.random.expovariate(1 / DELAY_MEAN_S)
            arrival_s = now_s + delay_s
            end_s = self.outage_end(pop, now_s, arrival_s)
            if end_s:
                arrival_s = end_s + delay_s
            self.last_s[pop] = max(self.last_s[pop], arrival_s)
            event = self.env.timeout(self.last_s[pop] - now_s, (pop, lsn))
            event.callbacks.append(self.arrived)

    def arrived(self, event):
        pop, lsn = event.value
        self.visible[pop] = lsn
        self.visibilities += 1
        self.visible_s += self.env.now - self.log[lsn - 1]

    def answered(self, pop, key):
        pass

    def finish(self):
        pass


def peak_kib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def main():
    kind = {"cache": CacheWorld, "push": PushWorld}[sys.argv[1]]
    world = kind(*map(int, sys.argv[2:6]))
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin_s = time.monotonic()
    world.run()
    wall_s = time.monotonic() - begin_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"wall_s": wall_s, "user_s": after.ru_utime - before.ru_utime,
                      "system_s": after.ru_stime - before.ru_stime, "peak_kib": peak_kib(),
                      "reads": world.reads, "writes": world.writes, "visibilities": world.visibilities,
                      "stale": world.stale}))


main()
