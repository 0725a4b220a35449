"""Sends tasks with celery, and prints their results.

usage: celery_client.py URL QUEUE
"""

import sys

from celery import Celery

url, queue = sys.argv[1:]
app = Celery(broker=url, backend="rpc://")
app.conf.task_default_queue = queue


@app.task(name="shop.add")
def add(x, y, discount=0):
    raise NotImplementedError("executed by other programs")


late = add.apply_async((1, 2), countdown=3600, expires=7200, retries=2, task_id="late")
print(add.delay(40, 3, discount=1).get(timeout=30))
print(add.apply_async((20, 1), compression="bzip2").get(timeout=30))
try:
    add.delay(1, 2, discount=4).get(timeout=30)
except ValueError as error:
    print(f"ValueError: {error}")
try:
    add.delay("x", 1).get(timeout=30)
except Exception as error:
    print(type(error).__name__)
print(late.get(timeout=30))
