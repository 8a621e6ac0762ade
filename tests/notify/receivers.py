"""Receivers on loopback that take a page well or badly, for real."""

import http.server
import socket
import socketserver
import threading
import time
from contextlib import contextmanager


class Heard(list):
    """What arrived, in order; `wait` gives it time to."""

    def wait(self, count, seconds=5.0):
        end = time.monotonic() + seconds
        while len(self) < count and time.monotonic() < end:
            time.sleep(0.01)
        return list(self)


@contextmanager
def web(*answers):
    """Serve answers in turn, the last for ever: a status, `hang`, `drip`, `garbage` or `cut`."""
    heard, turn, stop = Heard(), list(answers or (204,)), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = turn.pop(0) if len(turn) > 1 else turn[0]
            self.close_connection = True
            if answer == "hang":
                stop.wait(20)
            elif answer == "garbage":
                self.wfile.write(b"\x00\xff\x13 what?\r\n\r\n" * 50)
            elif answer == "cut":
                pass
            elif answer == "drip":
                for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"a" * 2000:
                    self.wfile.write(bytes([byte]))
                    if stop.wait(0.05):
                        break
            else:
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("location", f"http://127.0.0.1:{server.server_port}/elsewhere")
                self.send_header("content-length", "3")
                self.end_headers()
                self.wfile.write(b"\xff\xfe{")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook/T0K3N", heard
    finally:
        stop.set()
        server.shutdown()
        server.server_close()


@contextmanager
def udp():
    """Take datagrams."""
    heard = Heard()
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("127.0.0.1", 0))
    door.settimeout(0.1)
    stop = threading.Event()

    def take():
        while not stop.is_set():
            try:
                heard.append(door.recv(65_535))
            except TimeoutError:
                continue

    worker = threading.Thread(target=take)
    worker.start()
    try:
        yield f"udp://127.0.0.1:{door.getsockname()[1]}", heard
    finally:
        stop.set()
        worker.join()
        door.close()


@contextmanager
def tcp(rude=False):
    """Take whole connections; a rude receiver resets instead of reading."""
    heard = Heard()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            if rude:
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                self.request.recv(1)
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.request.close()
                return
            data = b""
            while chunk := self.request.recv(65_536):
                data += chunk
            heard.append(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"tcp://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        server.server_close()


def nobody(scheme):
    """Return an address where nobody listens."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return f"{scheme}://127.0.0.1:{door.getsockname()[1]}"
