"""A worker of celery. Prints "ready" when it consumes from the queue.

usage: celery_worker.py URL QUEUE
"""

import sys

from celery import Celery
from celery.signals import worker_ready
from kombu import Queue

url, queue = sys.argv[1:]
app = Celery(broker=url, backend="rpc://")
app.conf.task_queues = [Queue(queue, routing_key=queue, durable=True)]
app.conf.worker_redirect_stdouts = False


@app.task(name="shop.add")
def add(x, y, discount=0):
    return {"sum": x + y - discount}


@app.task(name="shop.fail")
def fail(reason):
    raise ValueError(reason, 7)


@app.task(name="shop.retry", bind=True)
def retry(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return self.request.retries


@worker_ready.connect
def on_ready(**_):
    print("ready")


# Every worker has an exclusive control queue with its name.
name = ["--hostname", f"{queue}@interop"]
options = "--pool solo --without-gossip --without-mingle --without-heartbeat --loglevel critical"
app.worker_main(["--quiet", "worker", *name, *options.split()])
