"""A broker for tests, and its control interface. Needs nothing but Python."""

import json
import os
import pathlib
import subprocess
import time
import urllib.error
import urllib.request

# The program `serve`; by default, cargo builds and starts it.
SERVE = os.environ.get("CARROT_SERVE")
MANIFEST = pathlib.Path(__file__).parents[2] / "carrot-server" / "Cargo.toml"
CARGO = ["cargo", "run", "--quiet", "--manifest-path", MANIFEST, "--example", "serve", "--"]


class ControlError(Exception):
    """An operation of the control interface that failed."""

    def __init__(self, status, reason):
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class Broker:
    """A broker in a process of its own, which ends with this one.

    Every operation of the control interface is a method:
    `broker.advance_clock(seconds=3600)`, `broker.queue(queue="jobs")["ready"]`.
    """

    def __init__(self, *options):
        command = [SERVE] if SERVE else CARGO
        command = [*command, "--control", "--manual-clock", *options]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command} ended with status {self._process.wait()}")
        started = json.loads(line)
        self.url = started["amqp_url"]
        self._control_url = started["control_url"]
        self._token = started["token"]
        # Never through a proxy that the environment names.
        no_proxy = urllib.request.ProxyHandler({})
        self._opener = urllib.request.build_opener(no_proxy)

    def call(self, operation, **fields):
        """Carries out an operation, and returns its result."""
        request = urllib.request.Request(
            f"{self._control_url}/{operation}",
            data=json.dumps(fields).encode(),
            headers={"Authorization": f"Bearer {self._token}"},
        )
        try:
            with self._opener.open(request, timeout=90) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ControlError(error.code, json.load(error)["error"]) from None

    def __getattr__(self, operation):
        if operation.startswith("_"):
            raise AttributeError(operation)
        return lambda **fields: self.call(operation, **fields)

    def close(self):
        """Stops the broker, which waits for the end of its input."""
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(timeout=30)
        finally:
            self._process.kill()


def eventually(condition, timeout=30):
    """Waits until a condition holds, and returns its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} did not hold in {timeout} s"
        time.sleep(0.01)
    return value
