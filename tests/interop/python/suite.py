"""Runs a test suite that a client brings, on a broker. Prints the last line of pytest.

usage: suite.py URL CLIENT TESTS EXPRESSION
"""

import os
import subprocess
import sys
from urllib.parse import urlsplit

url, client, tests, expression = sys.argv[1:]
broker = urlsplit(url)
# scripts/python unpacks the sources.
folder = os.path.join(sys.prefix, "sources", client)
pytest = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
finished = subprocess.run(
    [*pytest, tests, "-k", expression],
    cwd=folder,
    env={**os.environ, "RABBITMQ_HOST": broker.hostname, "RABBITMQ_5672_TCP": str(broker.port)},
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
)
if finished.returncode != 0:
    print(finished.stdout, file=sys.stderr)
print(finished.stdout.splitlines()[-1])
