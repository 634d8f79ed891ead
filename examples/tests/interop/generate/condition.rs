//! Match blocks.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{FIELDS, PARAMS, PATHS, VALUES, once_in, one};

const PATH_PATTERNS: [&str; 9] = [
    "/cart/[0-9]+",
    "/api/v[12]/.*",
    "/api/v\\d+(\\.\\d+)?/\\w+",
    "/(cart|api)",
    "/a.b",
    "(?i)/CART.*",
    ".*/",
    ".*",
    "/caf%C3%A9|/~user",
];

const VALUE_PATTERNS: [&str; 6] = ["1.*", "[a-z]+", "(?i)one", "one|10", ".+", ".*"];

pub(super) fn block(rng: &mut Rng) -> Value {
    let mut block = Map::new();
    if !once_in(rng, 8) {
        block.insert("uri".into(), uri(rng));
        block.insert("ignoreUriCase".into(), once_in(rng, 4).into());
    }
    if once_in(rng, 5) {
        block.insert("method".into(), method(rng));
    }
    if once_in(rng, 12) {
        let scheme = one(rng, &["http", "https"]);
        block.insert("scheme".into(), json!({"exact": scheme}));
    }
    if once_in(rng, 8) {
        block.insert("authority".into(), authority(rng));
    }
    for (name, often, names) in [
        ("headers", 3, FIELDS.as_slice()),
        ("withoutHeaders", 6, FIELDS.as_slice()),
        ("queryParams", 6, PARAMS.as_slice()),
    ] {
        if once_in(rng, often) {
            block.insert(name.into(), fields(rng, names));
        }
    }
    if once_in(rng, 8) {
        block.insert("port".into(), json!(one(rng, &[80, 8080])));
    }
    if once_in(rng, 8) {
        block.insert("name".into(), json!("block"));
    }
    block.into()
}

fn uri(rng: &mut Rng) -> Value {
    match rng.u32(..5) {
        0 | 1 => json!({"exact": one(rng, &PATHS)}),
        2 | 3 => json!({"prefix": one(rng, &PATHS)}),
        _ => json!({"regex": one(rng, &PATH_PATTERNS)}),
    }
}

fn method(rng: &mut Rng) -> Value {
    one(
        rng,
        &[
            ("exact", "GET"),
            ("exact", "POST"),
            ("exact", "get"),
            ("regex", "GET|HEAD"),
            ("prefix", "P"),
        ],
    )
    .into_match()
}

fn authority(rng: &mut Rng) -> Value {
    one(
        rng,
        &[
            ("exact", "shop.example"),
            ("exact", "shop.example:80"),
            ("prefix", "a."),
            ("prefix", "Shop"),
            ("regex", ".*\\.example(:\\d+)?"),
        ],
    )
    .into_match()
}

fn fields(rng: &mut Rng, names: &[&str]) -> Value {
    let mut fields = Map::new();
    for _ in 0..rng.usize(1..3) {
        fields.insert(one(rng, names).into(), value(rng));
    }
    fields.into()
}

fn value(rng: &mut Rng) -> Value {
    // Values that are not ASCII cannot be written by every client, and are not conditions.
    let ascii: Vec<_> = VALUES
        .into_iter()
        .filter(|value| value.is_ascii())
        .collect();
    let non_empty: Vec<_> = ascii
        .iter()
        .copied()
        .filter(|value| !value.is_empty())
        .collect();
    match rng.u32(..4) {
        0 => json!({"exact": one(rng, &ascii)}),
        1 => json!({"prefix": one(rng, &non_empty)}),
        2 => json!({"regex": one(rng, &VALUE_PATTERNS)}),
        _ => json!({}),
    }
}

trait IntoMatch {
    fn into_match(self) -> Value;
}

impl IntoMatch for (&str, &str) {
    fn into_match(self) -> Value {
        json!({self.0: self.1})
    }
}
