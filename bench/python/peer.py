"""pika and kombu, one thread.

The first argument is the peer, and name=value arguments follow. Prints one line of JSON, like the other peers.
"""

import json
import resource
import ssl
import sys
import time

MESSAGE_ID = "0123456789abcdefghijkl"


def peak_kib():
    """Returns the peak of the resident memory. getrusage would include the program that started this one."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), None)


class Meter:
    def __init__(self):
        self.before = resource.getrusage(resource.RUSAGE_SELF)
        self.started = time.monotonic()

    def finish(self, messages, latencies=()):
        took = time.monotonic() - self.started
        after = resource.getrusage(resource.RUSAGE_SELF)
        line = {
            "messages": messages,
            "seconds": took,
            "cpu_user": after.ru_utime - self.before.ru_utime,
            "cpu_sys": after.ru_stime - self.before.ru_stime,
            "rss_kb": peak_kib(),
        }
        if latencies:
            latencies = sorted(latencies)
            line["p50_us"] = latencies[(len(latencies) - 1) * 50 // 100] * 1e6
            line["p99_us"] = latencies[(len(latencies) - 1) * 99 // 100] * 1e6
        print(json.dumps(line))
        sys.exit(0)


def unsupported():
    print('{"unsupported":true}')
    sys.exit(0)


def timed(messages, call):
    call()
    meter = Meter()
    latencies = []
    for _ in range(messages):
        since = time.monotonic()
        call()
        latencies.append(time.monotonic() - since)
    meter.finish(messages, latencies)


def pika_peer(job, messages, body):
    import pika

    tls = pika.SSLOptions(ssl.create_default_context(cafile=job["ca"]), "localhost") if job["tls"] == "1" else None
    parameters = pika.ConnectionParameters("localhost", int(job["port"]), ssl_options=tls)
    channel = pika.BlockingConnection(parameters).channel()
    queue = job["queue"]

    def send(mode):
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=mode, message_id=MESSAGE_ID))

    if job["work"] == "publish":
        meter = Meter()
        for _ in range(messages):
            send(1)
        channel.close()
        meter.finish(messages)
    if job["work"] == "each":
        channel.confirm_delivery()
        timed(messages, lambda: send(2))
    if job["work"] == "consume":
        taken = 0

        def receive(channel, method, _properties, _body):
            nonlocal taken
            channel.basic_ack(method.delivery_tag)
            taken += 1
            if taken == messages:
                channel.stop_consuming()

        channel.basic_qos(prefetch_count=int(job["prefetch"]))
        meter = Meter()
        channel.basic_consume(queue, receive)
        channel.start_consuming()
        channel.close()
        meter.finish(messages)
    if job["work"] == "ping-pong":
        other = pika.BlockingConnection(parameters)
        arrived = []
        other.channel().basic_consume(queue, lambda *message: arrived.append(message), auto_ack=True)

        def round_trip():
            send(1)
            while not arrived:
                other.process_data_events(None)
            arrived.clear()

        timed(messages, round_trip)
    unsupported()


def kombu_peer(job, messages, body):
    import kombu

    if job["tls"] == "1":
        unsupported()
    memory = job["work"] == "memory"
    confirm = {"confirm_publish": True} if job["work"] == "each" else {}
    url = "memory://" if memory else "pyamqp://guest:guest@localhost:{}//".format(job["port"])
    connection = kombu.Connection(url, transport_options=confirm)
    channel = connection.channel()
    queue = kombu.Queue(job["queue"], durable=True)
    producer = kombu.Producer(channel, routing_key=job["queue"])

    def send(mode):
        producer.publish(body, delivery_mode=mode, content_type="application/data", content_encoding="binary", message_id=MESSAGE_ID)

    if memory:
        queue(channel).declare()
        meter = Meter()
        for _ in range(messages):
            send(1)
            queue(channel).get().ack()
        meter.finish(messages)
    if job["work"] == "publish":
        meter = Meter()
        for _ in range(messages):
            send(1)
        channel.close()
        meter.finish(messages)
    if job["work"] == "each":
        timed(messages, lambda: send(2))
    if job["work"] in ("consume", "ping-pong"):
        taken = 0
        echo = job["work"] == "ping-pong"

        def receive(message):
            nonlocal taken
            if not echo:
                message.ack()
            taken += 1

        other = kombu.Connection(url)
        consumer = kombu.Consumer(other.channel(), [queue], on_message=receive, no_ack=echo, auto_declare=False)
        if echo:
            consumer.consume()

            def round_trip():
                before = taken
                send(1)
                while taken == before:
                    other.drain_events()

            timed(messages, round_trip)
        consumer.qos(prefetch_count=int(job["prefetch"]))
        meter = Meter()
        consumer.consume()
        while taken < messages:
            other.drain_events()
        consumer.channel.close()
        meter.finish(messages)
    unsupported()


def main():
    job = {"work": "", "queue": "", "port": "0", "prefetch": "0", "threads": "1", "tls": "0", "ca": ""}
    job.update(argument.split("=", 1) for argument in sys.argv[2:])
    if int(job["threads"]) > 1:
        unsupported()
    peer = {"pika": pika_peer, "kombu": kombu_peer}[sys.argv[1]]
    peer(job, int(job["messages"]), b"x" * int(job["size"]))


main()
