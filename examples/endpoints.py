"""Which of three web endpoints to call? The memory alone learns it, from calling them.

    python examples/endpoints.py [bank.db]

The endpoints are real HTTP servers on this machine. `near` is slow for large payloads, `far` is
down at night, `bulk` refuses small payloads and is crowded by day. Nobody tells the memory: it sees
the size, the hour, and whether an answer came in time.
"""

import random
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from swarm_runtime import ReasoningBank, Trajectory

#: Seconds that each takes for so many kilobytes at an hour; None: it refuses.
ENDPOINTS = {
    "near": lambda kilobytes, hour: 0.001 if kilobytes < 100 else 0.08,
    "far": lambda kilobytes, hour: None if hour < 6 else 0.004,
    "bulk": lambda kilobytes, hour: None if kilobytes < 100 else 0.004 if hour < 6 else 0.08,
}


class Endpoint(BaseHTTPRequestHandler):
    def do_GET(self):
        name, kilobytes, hour = self.path.strip("/").split("/")
        seconds = ENDPOINTS[name](int(kilobytes), int(hour))
        time.sleep(seconds or 0.0)
        self.send_response(503 if seconds is None else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


def in_time(port, path):
    began_s = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status == 200 and time.perf_counter() - began_s < 0.05


server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
threading.Thread(target=server.serve_forever, daemon=True).start()
draw, went, now = random.Random(7), [], lambda: int(time.time())
run = f"{time.time_ns():x}"

with ReasoningBank.open(sys.argv[1] if len(sys.argv) > 1 else ":memory:") as bank:
    for at in range(300):
        context = {"kilobytes": draw.choice([2, 5, 400, 900]), "hour": draw.randrange(24)}
        # With draws it also tries what it does not know well enough yet.
        draws = (draw.random(), draw.random())
        advice = bank.recommend("upload", context, list(ENDPOINTS), now(), draws=draws)
        endpoint = draw.choice(list(ENDPOINTS)) if at < 30 else advice.approach
        good = in_time(server.server_port, f"/{endpoint}/{context['kilobytes']}/{context['hour']}")
        went.append(good)
        bank.record(
            Trajectory(
                id=f"{run}/{at}",
                agent="uploader",
                task_type="upload",
                approach=endpoint,
                context=context,
                known_at_s=now(),
                excess=1.0 if good else -1.0,
                verdict=1 if good else -1,
            )
        )
    print(f"in time: {sum(went[:30])} of 30 calls at random, {sum(went[-30:])} of the last 30")
    for kilobytes, hour in ((2, 3), (2, 15), (900, 3), (900, 15)):
        context = {"kilobytes": kilobytes, "hour": hour}
        found = bank.recommend("upload", context, list(ENDPOINTS), now())
        print(f"\n{kilobytes} kB at {hour:02}:00 -> {found.approach}\n  {found.why}")
