#!/usr/bin/env python3
"""Access logs: vigla beside ClickHouse and `zstd -3` of JSON lines, on the same rows, in one run. And spans, when asked for.

  tests/bench/events.py [--rows 10000000] [--per-body 5000] [--only vigla,clickhouse,zstd,spans] [--json FILE]

Each server is loaded through its own door (vigla: OTLP protobuf to /v1/logs; ClickHouse: RowBinary by HTTP), one connection, one
body after the other; then it rests until its disk does not change any more, and answers each query seven times: the median of the
last six counts. CPU is of the whole process, kernel included; memory is its peak (VmHWM) while loading. `spans`, which is left out unless it is named:
as many spans in traces of about eight, by OTLP protobuf to /v1/traces, asked for through Jaeger's API.
"""
import argparse, http.client, json, os, re, shutil, statistics, struct, subprocess, sys, tempfile, time, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GENERATORS = os.path.join(ROOT, "build/tests/bench")
START_NS = 1790000000 * 10**9

TABLE = """CREATE TABLE access_log (time DateTime, time_ns Int64, reporter LowCardinality(String), method LowCardinality(String),
 path String, protocol LowCardinality(String), response_code UInt16, response_flags LowCardinality(String), bytes_received Int64,
 bytes_sent Int64, duration_us Int64, upstream_service_time_us Int64, user_agent LowCardinality(String), request_id UUID,
 authority LowCardinality(String), upstream_host LowCardinality(String), upstream_cluster LowCardinality(String),
 downstream_remote_address String, route_name LowCardinality(String), trace_id FixedString(16), pod LowCardinality(String),
 namespace LowCardinality(String), source_workload LowCardinality(String), destination_workload LowCardinality(String),
 destination_service LowCardinality(String), destination_service_name LowCardinality(String)) ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (destination_service_name, time)"""
SERVICE = "cart"


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


def disk(path):
    return sum(os.stat(os.path.join(d, f)).st_blocks * 512 for d, _, files in os.walk(path) for f in files)


def settle(path, pid, calm=4):
    """Waits until neither disk nor CPU says that work is going on behind."""
    still, last = 0, None
    while still < calm:
        now = (disk(path), round(cpu(pid), 1))
        still = still + 1 if now == last else 0
        last = now
        time.sleep(1)


class Vigla:
    name, door = "vigla", "/v1/logs"

    def start(self, directory, port):
        self.dir, self.port = directory, port
        self.process = subprocess.Popen([os.path.join(ROOT, "build/vigla"), "serve", "--data", directory, "--listen", f"127.0.0.1:{port}",
                                         "--retention", "0", "--otlp-grpc", "none"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()
        self.http = http.client.HTTPConnection("127.0.0.1", port)

    def post(self, body):
        self.http.request("POST", self.door, body, {"Content-Type": "application/x-protobuf"})
        r = self.http.getresponse()
        text = r.read()
        if r.status != 200:
            raise SystemExit(f"vigla: {r.status} {text[:300]}")

    def bytes(self):
        return disk(self.dir)

    def get(self, path, expected=200, **kw):
        self.http.request("GET", path + "?" + urllib.parse.urlencode(kw))
        r = self.http.getresponse()
        text = r.read()
        if r.status != expected:
            raise SystemExit(f"vigla: {path} {kw}: {r.status} {text[:300]}")
        return json.loads(text)["data"]

    def bodies(self, rows, per_body):
        return bodies("event_rows", "otlp", rows, per_body)

    def loki(self, path, **kw):
        return self.get("/loki/api/v1/" + path, **kw)["result"]

    def vector(self, query):
        return sum(float(v["value"][1]) for v in self.loki("query", query=query, time=self.end_ns))

    def lines(self, query, limit=100):
        return sum(len(s["values"]) for s in self.loki("query_range", query=query, start=START_NS, end=self.end_ns, limit=limit))

    def queries(self, needle, span_ns):
        self.end_ns = START_NS + (span_ns // 10**9 + 1) * 10**9
        w = f"[{span_ns // 10**9 + 1}s]"
        sel = '{kind="access_log"}'
        one = '{kind="access_log",service="%s"}' % SERVICE
        minute = lambda: sum(len(s["values"]) for s in self.loki("query_range", query=f"sum by (service)(count_over_time({sel}[1m]))",
                                                                  start=START_NS, end=self.end_ns, step="60s"))
        return {
            "count by status over all": lambda: self.vector(f"sum by (response_code)(count_over_time({sel}{w}))"),
            "count by status, one service": lambda: self.vector(f"sum by (response_code)(count_over_time({one}{w}))"),
            "one request id": lambda: self.lines(sel + f' | request_id="{needle}"'),
            "one request id, as a line filter": lambda: self.lines(sel + f' |= "{needle}"'),
            "a trace id that is not there": lambda: self.lines(sel + ' | trace_id="00112233445566778899aabbccddeeff"'),
            "substring in the path": lambda: self.vector(f'sum(count_over_time({sel} | path=~".*/1234.*" {w}))'),
            "last 100 rows of one service": lambda: self.lines(one),
            "count by service and minute": minute,
        }

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Spans(Vigla):
    """The needle is (trace, how many spans it has)."""
    name, door = "spans", "/v1/traces"

    def bodies(self, rows, per_body):
        return bodies("span_rows", "otlp", rows, per_body)

    def trace(self, trace_id, **kw):
        return sum(len(t["spans"]) for t in self.get("/jaeger/api/traces/" + trace_id, **kw) or [])

    def search(self, **kw):
        return len(self.get("/jaeger/api/traces", start=START_NS // 1000, end=self.end_ns // 1000, service=SERVICE, **kw))

    def queries(self, needle, span_ns):
        trace_id, spans = needle
        self.end_ns = START_NS + (span_ns // 10**9 + 1) * 10**9
        if self.trace(trace_id) != spans:
            raise SystemExit(f"spans: trace {trace_id} should have {spans} spans")
        return {
            "trace by id": lambda: self.trace(trace_id),
            "a trace id that is not there": lambda: self.trace("00112233445566778899aabbccddeeff", expected=404),
            "20 latest traces of one service": lambda: self.search(limit=20),
            "20 traces of one service, above 20 ms": lambda: self.search(limit=20, minDuration="20ms"),
            "those of one service above 1 s, of which there are none": lambda: self.search(limit=20, minDuration="1s"),
        }


class ClickHouse:
    name = "clickhouse"

    def bodies(self, rows, per_body):
        return bodies("event_rows", "rowbinary", rows, per_body)

    def start(self, directory, port):
        self.dir, self.port = directory, port
        for d in ("data", "tmp", "user_files", "format_schemas"):
            os.makedirs(f"{directory}/{d}", exist_ok=True)
        with open(f"{directory}/config.xml", "w") as f:
            f.write(f"""<yandex><logger><level>error</level><log>{directory}/log</log><errorlog>{directory}/err</errorlog></logger>
<http_port>{port}</http_port><tcp_port>{port + 1}</tcp_port><interserver_http_port>{port + 2}</interserver_http_port>
<listen_host>127.0.0.1</listen_host><path>{directory}/data/</path><tmp_path>{directory}/tmp/</tmp_path>
<user_files_path>{directory}/user_files/</user_files_path><format_schema_path>{directory}/format_schemas/</format_schema_path>
<users_config>{directory}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
<mark_cache_size>268435456</mark_cache_size></yandex>""")
        with open(f"{directory}/users.xml", "w") as f:
            f.write("""<yandex><profiles><default><allow_experimental_low_cardinality_type>1</allow_experimental_low_cardinality_type>
</default></profiles><users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile>
<quota>default</quota></default></users><quotas><default></default></quotas></yandex>""")
        program = shutil.which("clickhouse-server") or "/usr/sbin/clickhouse-server"
        self.process = subprocess.Popen([program, f"--config-file={directory}/config.xml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.http = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(100):
            try:
                self.ask("SELECT 1")
                break
            except OSError:
                self.http.close()
                time.sleep(0.2)
        self.ask(TABLE)

    def bytes(self):
        """Parts that were merged into others stay for some minutes, and do not count."""
        return int(self.ask("SELECT sum(bytes_on_disk) FROM system.parts WHERE active"))

    def request(self, path, body):
        self.http.request("POST", path, body)
        r = self.http.getresponse()
        text = r.read()
        if r.status != 200:
            raise SystemExit(f"clickhouse: {r.status} {text[:500]}")
        return text.decode("latin-1")

    def ask(self, sql):
        return self.request("/", sql)

    def post(self, body):
        self.request("/?query=" + urllib.parse.quote("INSERT INTO access_log FORMAT RowBinary"), body)

    def queries(self, needle, span_ns):
        total = lambda sql: sum(float(line.split("\t")[-1]) for line in self.ask(sql).splitlines())
        rows = lambda sql: self.ask(sql).count("\n")
        return {
            "count by status over all": lambda: total("SELECT response_code, count() FROM access_log GROUP BY response_code"),
            "count by status, one service": lambda: total(f"SELECT response_code, count() FROM access_log WHERE destination_service_name='{SERVICE}' GROUP BY response_code"),
            "one request id": lambda: rows(f"SELECT * FROM access_log WHERE request_id=toUUID('{needle}')"),
            "a trace id that is not there": lambda: rows("SELECT * FROM access_log WHERE trace_id=unhex('00112233445566778899aabbccddeeff')"),
            "substring in the path": lambda: total("SELECT count() FROM access_log WHERE path LIKE '%/1234%'"),
            "last 100 rows of one service": lambda: rows(f"SELECT * FROM access_log WHERE destination_service_name='{SERVICE}' ORDER BY time DESC LIMIT 100"),
            "count by service and minute": lambda: rows("SELECT destination_service_name, toStartOfMinute(time) m, count() FROM access_log GROUP BY destination_service_name, m"),
        }

    def stop(self):
        self.process.terminate()
        self.process.wait()


def generate(program, form, rows, per_body):
    return subprocess.Popen([os.path.join(GENERATORS, program), form, str(rows), str(per_body), str(START_NS)], stdout=subprocess.PIPE, bufsize=1 << 22)


def bodies(program, form, rows, per_body):
    p = generate(program, form, rows, per_body)
    while head := p.stdout.read(8):
        yield p.stdout.read(struct.unpack("<Q", head)[0])
    if p.wait():
        raise SystemExit(f"{program} failed")


def sample(rows, per_body):
    """A request id from the midst, and how long the rows span: they are the same each time."""
    p = generate("event_rows", "jsonl", rows, per_body)
    needle = last = None
    for i, line in enumerate(p.stdout):
        if i == rows // 2:
            needle = json.loads(line)["request_id"]
        last = line
    return needle, json.loads(last)["time"] - START_NS


def sample_spans(rows, per_body):
    """The same of spans."""
    trace_id, spans, span_ns = generate("span_rows", "about", rows, per_body).communicate()[0].split()
    return (trace_id.decode(), int(spans)), int(span_ns)


def measure(server, port, rows, per_body, needle, span_ns):
    directory = tempfile.mkdtemp(prefix=f"bench-{server.name}-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    out = {}
    try:
        server.start(directory, port)
        began, cpu_before = time.monotonic(), cpu(server.process.pid)
        for i, body in enumerate(server.bodies(rows, per_body)):
            server.post(body)
            if sys.stderr.isatty() and i % 50 == 0:
                print(f"\r{server.name}: {i * per_body:,} rows", end="", file=sys.stderr)
        out["load, rows/s"] = rows / (time.monotonic() - began)
        settle(directory, server.process.pid)
        server.http.close()  # who is asked next may have given up on an idle connection
        out["ingest, CPU s per M rows"] = (cpu(server.process.pid) - cpu_before) / rows * 1e6
        out["peak memory, MiB"] = peak(server.process.pid)
        out["disk, bytes per row"] = server.bytes() / rows
        for name, ask in server.queries(needle, span_ns).items():
            times = []
            for _ in range(7):
                t = time.perf_counter()
                answer = ask()
                times.append((time.perf_counter() - t) * 1000)
            out[name + ", ms"] = statistics.median(times[1:])
            out[name + ", answer"] = answer
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
        shutil.rmtree(directory, ignore_errors=True)
    return out


def zstd(rows, per_body):
    a = generate("event_rows", "jsonl", rows, per_body)
    b = subprocess.Popen(["zstd", "-3", "-q", "-c"], stdin=a.stdout, stdout=subprocess.PIPE)
    n = 0
    while chunk := b.stdout.read(1 << 20):
        n += len(chunk)
    return {"disk, bytes per row": n / rows}


def compare(which, a):
    """Access logs."""
    needle, span_ns = sample(a.rows, a.per_body) if {"vigla", "clickhouse"} & set(which) else (None, 0)
    servers = {"vigla": Vigla, "clickhouse": ClickHouse}
    return {w: zstd(a.rows, a.per_body) if w == "zstd" else measure(servers[w](), a.port, a.rows, a.per_body, needle, span_ns) for w in which}


def show(title, results):
    if not results:
        return
    print(f"{title}\n\n| what | " + " | ".join(results) + " |\n|---|" + "---|" * len(results))
    for n in next(iter(results.values())):
        cells = [results[w].get(n) for w in results]
        print(f"| {n} | " + " | ".join("" if c is None else f"{c:,.3g}" if c < 1000 else f"{c:,.0f}" for c in cells) + " |")
    print()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--per-body", type=int, default=5000)
    p.add_argument("--port", type=int, default=31900)
    p.add_argument("--only", default="vigla,clickhouse,zstd")
    p.add_argument("--json")
    a = p.parse_args()
    which = a.only.split(",")
    results = compare([w for w in which if w != "spans"], a)
    show(f"{a.rows:,} access logs, {a.per_body} in a body", results)
    if "spans" in which:
        results["spans"] = measure(Spans(), a.port, a.rows, a.per_body, *sample_spans(a.rows, a.per_body))
        show(f"{a.rows:,} spans, {a.per_body} in a body", {"vigla": results["spans"]})
    if a.json:
        with open(a.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
