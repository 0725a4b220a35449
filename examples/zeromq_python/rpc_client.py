"""Asks a server to double numbers: rpc_client.py URL QUEUE NUMBER..."""

import json
import sys

from carrot_zeromq import Client

url, queue, *numbers = sys.argv[1:]
with Client(url) as client:
    for number in numbers:
        body = json.dumps(int(number)).encode()
        answer = client.request(queue, body, content_type="application/json")
        print(number, "doubled is", json.loads(answer.body))
