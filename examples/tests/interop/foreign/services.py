"""Services that a proxy asks, written with other people's libraries: gRPC's own and http.server.

Prints the ports of both, gRPC first, and serves until its standard input ends. They have no state: what
they answer is said by `x-ticket`, and by the descriptors of the rate limit.

The messages are those of Envoy's v3 API. They are few and small, and written here by hand, so that no
generated code is needed.
"""

import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def number(field, value):
    return varint(field << 3) + varint(value)


def part(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The fields of a message: by their numbers, all values of each."""
    found, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind == 2:
            size, at = read_varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def only(message, *path):
    """What is at a path of field numbers; nothing if it is not there."""
    for field in path:
        values = fields(message).get(field)
        if not values:
            return b""
        message = values[0]
    return message


def header(field, key, value, append_action=2):
    """A HeaderValueOption; 2 overwrites or adds."""
    pair = part(1, key) + part(2, value)
    return part(field, part(1, pair) + number(3, append_action))


def check(request, context):
    """envoy.service.auth.v3.Authorization/Check"""
    http = only(request, 1, 4, 2)
    headers = {}
    for entry in fields(http).get(3, []):
        headers[only(entry, 1).decode()] = only(entry, 2).decode()
    seen = " ".join(only(http, field).decode() for field in (2, 4, 5, 11))
    source = only(request, 1, 1, 1, 1, 2).decode()
    ticket = headers.get("x-ticket", "")
    if ticket == "broken":
        context.abort(grpc.StatusCode.UNAVAILABLE, "out of order")
    if ticket == "good":
        changes = header(2, "x-guest", "ann") + header(2, "x-twice", "b", 0)
        changes += part(5, "x-secret") + header(6, "x-checked", "yes")
        changes += header(6, "x-saw", f"{seen} from {source}")
        return part(1, b"") + part(3, changes)
    if ticket == "bad":
        prices = header(2, "x-price", "7") + header(2, "x-price", "8")
        denial = part(1, number(1, 402)) + prices + part(3, "pay first")
        return part(1, number(1, 7)) + part(2, denial)
    return part(1, number(1, 7))


def should_rate_limit(request, context):
    """envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"""
    values = [
        only(entry, 2).decode()
        for descriptor in fields(request).get(2, [])
        for entry in fields(descriptor).get(1, [])
    ]
    if "broken" in values:
        context.abort(grpc.StatusCode.UNAVAILABLE, "out of order")
    told = part(1, "x-domain") + part(2, only(request, 1))
    return number(1, 2 if "over" in values else 1) + part(3, told)


class Authorizer(BaseHTTPRequestHandler):
    """Asked by HTTP: 200 allows, 5xx is a failure, all else denies."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode()
        ticket = self.headers.get("x-ticket", "")
        status = {"good": 200, "bad": 402, "broken": 503}.get(ticket, 403)
        text = b"" if status == 200 else b"pay first"
        self.send_response_only(status)
        self.send_header("x-guest", "ann")
        self.send_header("x-price", "7")
        self.send_header("x-unknown", "not passed on")
        self.send_header("x-saw", f"{self.command} {self.path} {self.headers['host']} {body}")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


def main():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for service, methods in {
        "envoy.service.auth.v3.Authorization": {"Check": check},
        "envoy.service.ratelimit.v3.RateLimitService": {"ShouldRateLimit": should_rate_limit},
    }.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(method)
            for name, method in methods.items()
        }
        handler = grpc.method_handlers_generic_handler(service, handlers)
        server.add_generic_rpc_handlers((handler,))
    by_grpc = server.add_insecure_port("127.0.0.1:0")
    server.start()
    by_http = ThreadingHTTPServer(("127.0.0.1", 0), Authorizer)
    threading.Thread(target=by_http.serve_forever, daemon=True).start()
    print(by_grpc, by_http.server_port, flush=True)
    sys.stdin.read()


main()
