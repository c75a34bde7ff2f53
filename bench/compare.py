#!/usr/bin/env python3
"""Two builds of Florete side by side, in quick turns: what changed, on a machine whose speed drifts from minute to minute.

  bench/compare.py BIN_A BIN_B [-r ROUNDS] [-t SECONDS]

BIN_*: folders with flor and florctl (artifacts/programs of two builds). Both run at once in namespaces a - b - c, veth 1500, and are measured in turn,
one and two hops: throughput of one TCP stream through a local forward, CPU seconds of all three nodes per 10^9 bytes, round trip of one byte,
connections a second. Printed are medians of each, and the median of the ratios B/A of neighbouring turns. Needs root and iperf3.
"""
import argparse, atexit, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time

NODES = "abc"
TICK = os.sysconf("SC_CLK_TCK")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Line:
    """Namespaces a - b - c, and what runs in them."""

    def __init__(self):
        self.tag = f"cmp{os.getpid()}"
        self.processes = []
        atexit.register(self.remove)
        for node in NODES:
            run("ip", "netns", "add", self.name(node))
            self.inside(node, "ip", "link", "set", "lo", "up")
        for one, other, net in (("a", "b", "10.7.1"), ("b", "c", "10.7.2")):
            ends = {one: f"{net}.1", other: f"{net}.2"}
            run("ip", "link", "add", f"to{other}", "netns", self.name(one), "type", "veth", "peer", "name", f"to{one}", "netns", self.name(other))
            for node, address in ends.items():
                device = "to" + (other if node == one else one)
                self.inside(node, "ip", "addr", "add", f"{address}/24", "dev", device)
                self.inside(node, "ip", "link", "set", device, "up")

    def name(self, node):
        return f"{self.tag}{node}"

    def inside(self, node, *command):
        return run("ip", "netns", "exec", self.name(node), *command)

    def start(self, node, *command, log=subprocess.DEVNULL):
        # The namespace is entered by exec, so the process is the program itself.
        process = subprocess.Popen(["ip", "netns", "exec", self.name(node), *command], stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def remove(self):
        for process in self.processes:
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        for node in NODES:
            subprocess.run(["ip", "netns", "del", self.name(node)], capture_output=True)


class Build:
    """Three nodes of one build; its forwards at a lead to b (one hop) and c (two hops)."""

    def __init__(self, line, index, folder, state):
        self.folder, ctl, base = folder, os.path.join(folder, "florctl"), 7431 + index
        root, operator = os.path.join(state, str(index)), os.path.join(state, str(index), "operator")
        run(ctl, "cluster", "init", "bench", "--dir", operator)
        services = lambda n: ["--outbound", f"iperf-{n}=127.0.0.1:5201", "--outbound", f"echo-{n}=127.0.0.1:7007"]
        add = lambda n, *rest: run(ctl, "node", "add", n, "--dir", operator, "--out", os.path.join(root, n), "--listen", f"0.0.0.0:{base}", "--allow", *rest)
        self.ports = {"one hop": (5301 + 10 * index, 7301 + 10 * index), "two hops": (5302 + 10 * index, 7302 + 10 * index)}
        forwards = []
        for n, path in (("b", "one hop"), ("c", "two hops")):
            for port, service in zip(self.ports[path], ("iperf", "echo")):
                forwards.append(f'  - {{forward: "127.0.0.1:{port}", to: {service}-{n}.rete, as: user/bench, sharedByThisMachine: true}}\n')
        add("a", "--link", f"b=10.7.1.2:{base}", "--proxy", f"127.0.0.1:{1080 + index}=user/bench")
        add("b", "--link", f"a=10.7.1.1:{base}", "--link", f"c=10.7.2.2:{base}", *services("b"))
        add("c", "--link", f"b=10.7.2.1:{base}", *services("c"))
        path = os.path.join(root, "a", "flor.yaml")
        text = open(path).read()
        open(path, "w").write(text.replace("inbounds:\n", "inbounds:\n" + "".join(forwards), 1))
        bounds = os.path.join(operator, "bounds.yaml")
        text = "".join("version: 100\n" if l.startswith("version:") else "connect:\n  - {from: [user/bench], to: [\"service/*\"]}\n" if l.startswith("connect:") else l for l in open(bounds))
        open(bounds, "w").write(text)
        self.pids = []
        for n in NODES:
            run(ctl, "bounds", "sign", bounds, "--dir", operator, "--out", os.path.join(root, n, "bounds.signed"))
            log = open(os.path.join(root, n + ".log"), "w")
            self.pids.append(line.start(n, os.path.join(folder, "flor"), "run", "--config", os.path.join(root, n, "flor.yaml"), log=log).pid)

    def cpu_seconds(self):
        total = 0
        for pid in self.pids:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK


# Runs inside a namespace: the echo service, and the clients' measurements.
ECHO = """
import socket, threading
server = socket.create_server(("127.0.0.1", 7007), backlog=512)
def serve(s):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with s:
        while data := s.recv(65536): s.sendall(data)
while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
ROUND_TRIP = """
import socket, statistics, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
times = []
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    start = time.monotonic(); s.sendall(b"x"); assert s.recv(1); times.append(time.monotonic() - start)
print(statistics.median(times) * 1e6)
"""
CONNECTIONS = """
import socket, sys, time
count, start = 0, time.monotonic()
while (now := time.monotonic()) - start < float(sys.argv[2]):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s: s.sendall(b"x"); assert s.recv(1)
    count += 1
print(count / (now - start))
"""


def measure(line, build, path, seconds):
    bulk, echo = build.ports[path]
    before = build.cpu_seconds()
    result = json.loads(line.inside("a", "iperf3", "-J", "-c", "127.0.0.1", "-p", str(bulk), "-t", str(seconds)))
    cpu = build.cpu_seconds() - before
    received = result["end"]["sum_received"]
    return {
        "Mbit/s": received["bits_per_second"] / 1e6,
        "CPU s/GB": cpu / (received["bytes"] / 1e9),
        "round trip us": float(line.inside("a", sys.executable, "-c", ROUND_TRIP, str(echo), str(seconds / 2))),
        "connections/s": float(line.inside("a", sys.executable, "-c", CONNECTIONS, str(echo), str(seconds / 2))),
    }


def wait_ready(line, build):
    for _, echo in build.ports.values():
        end = time.monotonic() + 30
        while True:
            try:
                line.inside("a", sys.executable, "-c", ROUND_TRIP, str(echo), "0.2")
                break
            except subprocess.CalledProcessError:
                if time.monotonic() > end:
                    sys.exit(f"{build.folder}: no answer through port {echo} within 30 s.")
                time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a"), parser.add_argument("b")
    parser.add_argument("-r", type=int, default=8, dest="rounds")
    parser.add_argument("-t", type=float, default=1, dest="seconds")
    options = parser.parse_args()
    state = tempfile.mkdtemp(prefix="florete-compare-")
    atexit.register(shutil.rmtree, state, True)
    line = Line()
    for node in "bc":
        line.start(node, "iperf3", "-s", "-B", "127.0.0.1")
        line.start(node, sys.executable, "-c", ECHO)
    builds = [Build(line, i, folder, state) for i, folder in enumerate((options.a, options.b))]
    for build in builds:
        wait_ready(line, build)
    # Compilers are done after this.
    for build in builds * 2:
        for path in build.ports:
            measure(line, build, path, 2)
    rows = {path: ([], []) for path in builds[0].ports}
    for turn in range(options.rounds):
        for path in rows:
            for i in (0, 1) if turn % 2 == 0 else (1, 0):
                rows[path][i].append(measure(line, builds[i], path, options.seconds))
    print(f"{'':10}{'':16}{'A':>10}{'B':>10}{'B/A':>8}   (least - greatest)")
    for path, (a, b) in rows.items():
        for figure in a[0]:
            ratios = [y[figure] / x[figure] for x, y in zip(a, b)]
            print(f"{path:10}{figure:16}{statistics.median(x[figure] for x in a):10.2f}{statistics.median(y[figure] for y in b):10.2f}"
                  f"{statistics.median(ratios):8.3f}   ({min(ratios):.2f} - {max(ratios):.2f})")


if __name__ == "__main__":
    main()
