#!/usr/bin/env python3
"""The command line without a mesh: help, usage errors, exit codes, and the server's start and end."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import suite
from mesh import BUILD, VIGLA, Server


def run(*words, env=None, stdin=None):
    return subprocess.run([VIGLA, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                          input=stdin, env={**os.environ, **(env or {})})


def test_help_everywhere():
    top = run("--help")
    assert top.returncode == 0 and top.stdout.startswith("vigla: the lookout"), top
    commands = [line.split()[0] for line in top.stdout.splitlines() if line.startswith("  ")]
    assert {"serve", "mesh", "apply", "get", "logs", "traces", "query", "graph"} <= set(commands), commands
    for command in commands:
        said = run(command, "--help")
        assert said.returncode == 0 and f"usage: vigla {command}" in said.stdout, said
        assert run("help", command).stdout == said.stdout, command
    assert run("--version").stdout.startswith("vigla ")
    said = subprocess.run([os.path.join(BUILD, "vigla-proxy"), "--help"], stdout=subprocess.PIPE, text=True, timeout=30)
    assert said.returncode == 0 and "--telemetry" in said.stdout, said


def test_wrong_usage_is_2_and_says_what_is_right():
    for words, text in (((), "usage"), (("nonsense",), "no such command"), (("serve",), "--data DIR is missing"),
                        (("serve", "--nonsense"), "no such option"), (("get", "teapot"), "no such kind"),
                        (("serve", "--data", "x", "--listen", "here"), "HOST:PORT"), (("apply",), "-f FILE"),
                        (("query", "up", "-o", "xml"), "table, json, yaml or csv"),
                        (("help", "nonsense"), "no such command"), (("pods", "all"), "options only"),
                        (("describe", "teapot", "x"), "no such kind"), (("traces", "--tag", "x"), "NAME=VALUE"),
                        (("traces", "a", "b"), "one trace's id")):
        done = run(*words)
        assert done.returncode == 2 and text in done.stderr, (words, done)


def test_no_server_is_1_and_says_how_to_start_one():
    done = run("pods", "--server", "http://127.0.0.1:1")
    assert done.returncode == 1 and "vigla serve" in done.stderr, done


def test_analyze_needs_no_server():
    good = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n"
    assert run("analyze", "-", stdin=good).returncode == 0
    bad = run("analyze", "-", stdin=good.replace("80", "eighty"))
    assert bad.returncode == 1 and "-:4: error: Service default/a: spec.ports[0].port" in bad.stdout, bad


def test_server_starts_once_and_ends_in_time():
    folder = tempfile.mkdtemp(prefix="vigla-cli-")
    try:
        server = Server(folder)
        second = run("serve", "--data", os.path.join(folder, "data"), "--listen", "127.0.0.1:0")
        assert second.returncode == 1 and str(server.process.child.pid) in second.stderr, second
        taken = run("serve", "--data", os.path.join(folder, "other"), "--listen", f"127.0.0.1:{server.port}")
        assert taken.returncode == 1 and str(server.port) in taken.stderr, taken
        started = time.monotonic()
        assert server.process.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_answers_and_refusals_of_a_server():
    folder = tempfile.mkdtemp(prefix="vigla-cli-")
    try:
        server = Server(folder)
        at = ("--server", f"http://127.0.0.1:{server.port}")
        service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n"
        assert run("apply", "-f", "-", "--wait=0", *at, stdin=service).returncode == 0
        for words in (("get", "services"), ("describe", "service", "a"), ("pods",), ("proxy-status",), ("graph",), ("query", "vector(1)")):
            as_json = run(*words, "-o", "json", *at)
            assert as_json.returncode == 0 and isinstance(json.loads(as_json.stdout), dict), (words, as_json)
            as_yaml = run(*words, "-o", "yaml", *at)         # block style with the same names
            assert as_yaml.returncode == 0, (words, as_yaml)
            assert {line.split(":")[0] for line in as_yaml.stdout.splitlines() if line[0].isalpha()} == set(json.loads(as_json.stdout)), as_yaml
        for words, text in ((("get", "service", "b"), "vigla: Service default/b is not there"), (("describe", "service", "b"), "default/b is not there"),
                            (("delete", "service", "b"), "default/b is not there"), (("logs", "nobody"), "no such Pod"),
                            (("logs", "{a="), "vigla: parse error"), (("query", "sum("), "vigla: invalid parameter"),
                            (("export", "topology", "--format", "xml"), "should be dot, svg"), (("delete", "-f", "-"), "nothing was deleted")):
            done = run(*words, *at, stdin="kind: [")
            assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("vigla: ") and text in done.stderr, (words, done)
            assert '{"' not in done.stderr and not done.stdout, done
        assert server.process.stop(signal.SIGTERM) == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_configuration_file_and_reload():
    folder = tempfile.mkdtemp(prefix="vigla-cli-")
    path = os.path.join(folder, "vigla.yaml")

    def write(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    try:
        for text, message in (("retention: 5\n", f"{path}:1: --retention"), ("a: 1\nteapot: 2\n", f"{path}:1: a: no such option"),
                              ("threads: [1]\n", "should have one value"), ("- 1\n", "one map of options"), ("a: [\n", path)):
            write(text)
            done = run("serve", "--data", folder, "--config", path)
            assert done.returncode == 2 and message in done.stderr, (text, done)
        assert run("serve", "--config", "/no/such.yaml").returncode == 2
        write("listen: 127.0.0.1:1\nretention: 30d\nlog-level: warn\n")  # port 1: the command line must win
        server = Server(folder, 0, "--config", path)
        assert server.get("/api/v1/status/config")["data"]["yaml"].startswith("listen:")
        write("listen: 127.0.0.1:1\nretention: 30d\nlog-level: info\n")
        assert server.call("POST", "/-/reload")[0] == 200
        assert "read again" in server.process.text()
        write("retention: nonsense\n")
        status, _, body = server.call("POST", "/-/reload")
        assert status >= 400 and path.encode() in body, (status, body)
        server.process.child.send_signal(signal.SIGHUP)
        server.process.wait_line("reload refused, the old settings stay", 5)
        assert server.call("GET", "/-/ready")[0] == 200
        assert server.process.stop() == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(suite.run(globals()))
