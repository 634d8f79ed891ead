//! Requests.

use std::fmt::Write;

use fastrand::Rng;

use super::{FIELDS, PARAMS, PATHS, VALUES, once_in, one};

const HOSTS: [&str; 14] = [
    "shop.example",
    "shop.example",
    "SHOP.example",
    "shop.example:80",
    "shop.example:8443",
    "a.shop.example",
    "b.shop.example:80",
    "b.a.shop.example",
    "c.b.a.shop.example",
    "other.example",
    "xn--bcher-kva.example",
    "10.1.2.3:80",
    "unknown.test",
    "[2001:db8::1]:80",
];

/// Forms of paths that proxies are fooled by.
const TRICKY: [&str; 22] = [
    "/cart/../api/v1",
    "/cart/./7",
    "/cart/..",
    "/../cart",
    "/cart/%2e%2e/api",
    "/cart/%2E/7",
    "/cart%2f7",
    "/cart%2F..%2Fapi",
    "/cart%5C7",
    "/cart\\7",
    "/%63art",
    "/%43art",
    "/cart%00",
    "/cart%",
    "/cart%zz",
    "/cart%20x",
    "/cart//7",
    "//cart",
    "/cart;a=b",
    "/cart/7;../x",
    "/CART/7",
    "/cart+7",
];

/// Queries. None has a fragment, which Envoy refuses: hyper drops it before it can be seen.
const QUERIES: [&str; 9] = [
    "?",
    "?q",
    "?q=",
    "?q=1&q=2",
    "?q=one%20two",
    "?Q=1&r-s=one",
    "?q=a?b/../c",
    "?&&q=10&",
    "?q=%6fne",
];

/// The bytes of a request.
pub(crate) fn request(rng: &mut Rng) -> String {
    let method = one(
        rng,
        &[
            "GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW",
        ],
    );
    let mut request = format!("{method} {} HTTP/1.1\r\n", target(rng));
    let _ = write!(
        request,
        "{}: {}\r\n",
        one(rng, &["host", "Host"]),
        one(rng, &HOSTS)
    );
    request.push_str("connection: close\r\n");
    for _ in 0..rng.usize(..4) {
        let (name, value) = (one(rng, &FIELDS), one(rng, &VALUES));
        let _ = write!(request, "{name}: {value}\r\n");
    }
    if method == "OPTIONS" || once_in(rng, 4) {
        let origin = one(
            rng,
            &[
                "https://shop.example",
                "https://evil.test",
                "http://shop.example",
            ],
        );
        let _ = write!(request, "origin: {origin}\r\n");
    }
    if method == "OPTIONS" && !once_in(rng, 3) {
        request.push_str("access-control-request-method: GET\r\n");
    }
    if once_in(rng, 6) {
        request.push_str(one(rng, &EXTRA));
    }
    let body = match method {
        "POST" | "PUT" | "PATCH" => "a body",
        _ => "",
    };
    if !body.is_empty() {
        let _ = write!(request, "content-length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}

/// Fields that proxies use among themselves.
const EXTRA: [&str; 9] = [
    "x-forwarded-for: 203.0.113.9\r\n",
    "x-forwarded-proto: https\r\n",
    "x-forwarded-host: evil.test\r\n",
    "x-envoy-original-path: /evil\r\n",
    "x-envoy-upstream-rq-timeout-ms: 1\r\n",
    "x-request-id: mine\r\n",
    "te: trailers, gzip\r\n",
    "keep-alive: 5\r\nproxy-connection: close\r\n",
    "x-envoy-internal: true\r\nx-envoy-external-address: 10.0.0.1\r\n",
];

fn target(rng: &mut Rng) -> String {
    if once_in(rng, 25) {
        let absolute = [
            "http://shop.example/cart?q=1",
            "HTTP://a.shop.example:80",
            "http://other.example/",
        ];
        return one(rng, &absolute).to_owned();
    }
    let mut target = match once_in(rng, 4) {
        true => one(rng, &TRICKY).to_owned(),
        false => one(rng, &PATHS).to_owned(),
    };
    if once_in(rng, 5) {
        target.push_str(one(rng, &["/", "/x", "x"]));
    }
    match rng.u32(..6) {
        0 => target.push_str(one(rng, &QUERIES)),
        1 => {
            let (name, value) = (one(rng, &PARAMS), one(rng, &["1", "10", "one", ""]));
            let _ = write!(target, "?{name}={value}");
        }
        _ => {}
    }
    target
}
