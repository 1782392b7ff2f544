"""A server that speaks S3 (moto), and a proxy before it that counts requests and fails by a seed."""

import http.client
import http.server
import logging
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

ERROR = b"<Error><Code>%s</Code><Message>Please try again.</Message></Error>"


class Faulty(http.server.BaseHTTPRequestHandler):
    """Hands requests on; one in `often` gets 500, 503 SlowDown, no answer (before or after the server has done it), or
    half of one."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str] = ""
    often: ClassVar[int] = 0
    chance: ClassVar[random.Random]
    lock: ClassVar[threading.Lock]
    seen: ClassVar[list[str]]

    def fault(self) -> str:
        kind = type(self)
        with kind.lock:
            kind.seen.append("LIST" if "list-type=2" in self.path else self.command)
            drawn = kind.chance.random() * kind.often if kind.often else 1.0
            return ("500", "503", "before", "after", "half")[int(drawn * 5)] if drawn < 1 else ""

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.fault()
        if fault in ("500", "503"):
            self.answer(int(fault), ERROR % (b"InternalError" if fault == "500" else b"SlowDown"), [])
            return
        self.close_connection = bool(fault)
        if fault == "before":
            return
        connection = http.client.HTTPConnection(type(self).upstream, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault != "after":
            size = int(answer.getheader("Content-Length", "0")) if self.command == "HEAD" else len(data)
            sent = data[: len(data) // 2] if fault == "half" else data
            self.answer(answer.status, sent, answer.getheaders(), size)

    def answer(self, status: int, data: bytes, headers: list[tuple[str, str]], size: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if size is None else size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

    def log_message(self, format: str, *args: object) -> None:
        pass


class Servers(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was cut off hangs up."""


@contextmanager
def moto() -> Iterator[str]:
    """Its host:port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@contextmanager
def proxied(upstream: str) -> Iterator[tuple[type[Faulty], dict[str, str]]]:
    """The proxy's handler, and the environment by which it is reached."""
    made = {"upstream": upstream, "chance": random.Random(7), "lock": threading.Lock(), "seen": []}
    handler = type("Handler", (Faulty,), made)
    server = Servers(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
    }  # fmt: skip
    server.shutdown()
    server.server_close()
