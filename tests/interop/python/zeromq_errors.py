"""A client of a ZeroMQ host that does what fails: zeromq_errors.py URL TASK QUEUE"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "examples" / "zeromq_python"))

from carrot_zeromq import Client, HostError  # noqa: E402


def keep(client, queue):
    client.consume(queue, prefetch=5)
    client.receive()
    print("received")
    # Until the program is killed.
    client.receive()


def reconnect(client, queue):
    print("ready")
    try:
        client.receive()
    except HostError as error:
        assert "the host stops" in str(error), error
    # The socket connects again on its own, and the next host knows no channel.
    if queue == "idle":
        client.receive()
    while True:
        client.publish(queue, b"lost")
        if client.receive(timeout=0.1):
            return


def blocked(client, queue):
    """Publishes while the host blocks publishers, without a confirm, and until nothing fits."""
    client.publish(queue, b"x")
    while client.blocked is None:
        assert client.read(time.monotonic() + 30), "the host has not said that it blocks"
    client.timeout = 0.5
    client.socket.sndtimeo = 500
    try:
        client.flush()
    except TimeoutError as error:
        print(error)
    while True:
        client.publish(queue, bytes(1 << 16))


def nest(client, queue):
    """Publishes headers with 200 levels of tables."""
    table = b""
    for _ in range(200):
        table = b"\x01aF" + len(table).to_bytes(4, "big") + table
    client.publish(queue, b"x", headers=table)
    client.flush()


TASKS = {"blocked": blocked, "nest": nest, "keep": keep, "reconnect": reconnect}


def main():
    url, task, queue = sys.argv[1:]
    heartbeat = 0.2 if task == "silent" else 5
    try:
        with Client(url, timeout=5 if "wrong" in url else 30, heartbeat=heartbeat) as client:
            if task == "publish":
                client.publish(queue, b"x")
                client.flush()
            elif task == "request":
                client.request(queue, b"x")
            elif task == "consume":
                client.consume(queue)
            else:
                TASKS[task](client, queue)
    except (HostError, TimeoutError) as error:
        print(type(error).__name__, error)


main()
