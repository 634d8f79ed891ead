//! Requests.

use std::fmt::Write;

use fastrand::Rng;

use super::backend::SCRIPT;
use super::configuration::PATHS;
use super::issuers::Issuers;
use crate::generate::{once_in, one};

/// The bytes of a request.
pub(super) fn generate(rng: &mut Rng, issuers: &Issuers) -> String {
    let method = one(
        rng,
        &["GET", "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS"],
    );
    let token = (!once_in(rng, 3)).then(|| issuers.token(rng));
    let mut path = one(rng, &PATHS).to_owned();
    let mut fields = String::new();
    match &token {
        Some(token) => place(rng, token, &mut path, &mut fields),
        None if once_in(rng, 4) => path.push_str("?q=1"),
        None => {}
    }
    let host = one(
        rng,
        &[
            "shop.example",
            "shop.example",
            "SHOP.example:80",
            "a.shop.example",
        ],
    );
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    request.push_str(&fields);
    if rng.bool() {
        let value = one(rng, &["1", "10", "one two", "two"]);
        let _ = write!(request, "x-a: {value}\r\n");
    }
    if once_in(rng, 4) {
        request.push_str("x-forwarded-for: 203.0.113.9\r\n");
    }
    if method == "OPTIONS" && rng.bool() {
        request.push_str("origin: https://shop.example\r\naccess-control-request-method: GET\r\n");
    }
    if once_in(rng, 8) {
        request.push_str("content-type: application/grpc\r\n");
    }
    if !once_in(rng, 3) {
        let _ = write!(request, "{SCRIPT}: {}\r\n", script(rng));
    }
    let body = match method {
        "POST" | "PUT" => "two books",
        _ => "",
    };
    if !body.is_empty() {
        let _ = write!(request, "content-length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}

/// Puts a token where it may be looked for.
fn place(rng: &mut Rng, token: &str, path: &mut String, fields: &mut String) {
    match rng.u32(..10) {
        0 => {
            let _ = write!(path, "?token={token}&q=1");
        }
        1 => {
            let _ = write!(path, "?access_token={token}");
        }
        2 => {
            let _ = write!(fields, "cookie: a=b; token={token}\r\n");
        }
        3 => {
            let _ = write!(fields, "x-token: Token {token}\r\n");
        }
        4 => {
            let _ = write!(fields, "authorization: Basic {token}\r\n");
        }
        _ => {
            let _ = write!(fields, "authorization: Bearer {token}\r\n");
        }
    }
}

fn script(rng: &mut Rng) -> String {
    let acts = [
        "200", "500", "502", "503", "503", "504", "404", "409", "418", "reset", "grpc:1",
        "grpc:14", "grpc:8", "grpc:13", "grpc:0",
    ];
    let acts: Vec<_> = (0..rng.usize(1..5)).map(|_| one(rng, &acts)).collect();
    acts.join(",")
}
