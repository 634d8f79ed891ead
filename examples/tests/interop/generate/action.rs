//! What rules do.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{SERVICES, once_in, one};

/// The action of a rule. Prefixes can be rewritten in redirects if all conditions are `prefixes`.
pub(super) fn action(rng: &mut Rng, prefixes: bool) -> Value {
    let mut rule = Map::new();
    match rng.u32(..8) {
        0 => drop(rule.insert("redirect".into(), redirect(rng, prefixes))),
        1 => drop(rule.insert("directResponse".into(), direct_response(rng))),
        _ => forward(rng, &mut rule),
    }
    if once_in(rng, 3) {
        rule.insert("headers".into(), headers(rng));
    }
    if once_in(rng, 4) {
        rule.insert("corsPolicy".into(), cors(rng));
    }
    rule.into()
}

fn redirect(rng: &mut Rng, prefixes: bool) -> Value {
    let code = one(rng, &[301, 302, 303, 307, 308]);
    let mut redirect = json!({"redirectCode": code});
    match rng.u32(..4) {
        0 => redirect["uri"] = json!(one(rng, &["/new", "/new?x=y", "/"])),
        1 if prefixes => redirect["prefixRewrite"] = json!(one(rng, &["/new", "/new/", "/"])),
        _ => redirect["authority"] = json!("new.example"),
    }
    if once_in(rng, 3) {
        redirect["scheme"] = json!(one(rng, &["http", "https"]));
    }
    match rng.u32(..6) {
        0 => redirect["port"] = json!(one(rng, &[80, 443, 8080])),
        1 => redirect["derivePort"] = json!("FROM_REQUEST_PORT"),
        2 => redirect["derivePort"] = json!("FROM_PROTOCOL_DEFAULT"),
        _ => {}
    }
    redirect
}

fn direct_response(rng: &mut Rng) -> Value {
    let status = one(rng, &[200, 204, 304, 403, 503]);
    let mut response = json!({"status": status});
    if rng.bool() && !matches!(status, 204 | 304) {
        response["body"] = json!({"string": "answered by the proxy"});
    }
    response
}

fn forward(rng: &mut Rng, rule: &mut Map<String, Value>) {
    let mut destinations = vec![destination(rng, 100)];
    if once_in(rng, 4) {
        // Which of two is drawn must not be left to chance.
        destinations.push(destination(rng, 0));
    } else if once_in(rng, 4) {
        let mut same = destinations[0].clone();
        same["weight"] = json!(50);
        destinations[0]["weight"] = json!(50);
        destinations.push(same);
    }
    rule.insert("route".into(), destinations.into());
    if once_in(rng, 3) {
        rule.insert("rewrite".into(), rewrite(rng));
    }
    if once_in(rng, 5) {
        let timeout = one(rng, &["5s", "1500ms"]);
        rule.insert("timeout".into(), json!(timeout));
    }
    if once_in(rng, 5) {
        let retries = json!({"attempts": 2, "perTryTimeout": "2s", "retryOn": "5xx,reset"});
        let retries = [json!({"attempts": 0}), retries];
        rule.insert("retries".into(), retries[rng.usize(..2)].clone());
    }
    if once_in(rng, 8) {
        let status = one(rng, &[400, 418, 503]);
        let share = one(rng, &[0, 100]);
        let abort = json!({"httpStatus": status, "percentage": {"value": share}});
        rule.insert("fault".into(), json!({"abort": abort}));
    }
}

/// One of the services, or the one that does not exist.
fn destination(rng: &mut Rng, weight: u32) -> Value {
    let service = rng.u64(..=SERVICES);
    let host = format!("service-{service}.internal");
    let mut destination = json!({"destination": {"host": host}, "weight": weight});
    if once_in(rng, 3) {
        destination["headers"] = headers(rng);
    }
    destination
}

fn rewrite(rng: &mut Rng) -> Value {
    let mut rewrite = Map::new();
    match rng.u32(..4) {
        0 | 1 => {
            let uri = one(rng, &["/", "/v2", "/v2/", "/v2?x=1"]);
            rewrite.insert("uri".into(), json!(uri));
        }
        2 => {
            // None writes what is no part of a path, such as `<`: the services refuse it.
            let (pattern, with) = one(
                rng,
                &[
                    ("^/cart/([0-9]+)(/.*)?$", "/items/\\1\\2"),
                    ("/[^/]*", "/x"),
                    ("a+", "[\\0]"),
                    ("v(?P<n>[0-9])", "\\1v"),
                    ("(?i)CART", "basket"),
                ],
            );
            let regex = json!({"match": pattern, "rewrite": with});
            rewrite.insert("uriRegexRewrite".into(), regex);
        }
        _ => {}
    }
    if rewrite.is_empty() || once_in(rng, 3) {
        rewrite.insert("authority".into(), json!("rewritten.example:8080"));
    }
    rewrite.into()
}

const NAMES: [&str; 6] = [
    "x-a",
    "x-b",
    "X-New",
    "vary",
    "user-agent",
    "x-forwarded-proto",
];

const FORMATS: [&str; 13] = [
    "written",
    "100%%",
    "%REQ(x-a)%",
    "[%REQ(x-missing?x-b)%]",
    "%REQ(x-missing)%",
    "%PROTOCOL%",
    "%REQ(:path)% %REQ(:method)% %REQ(:authority)%",
    "%REQ(x-envoy-original-path?:path)%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%ROUTE_NAME%",
    "%UPSTREAM_CLUSTER%",
    "%RESP(x-b)% %RESPONSE_FLAGS%",
    "%RESPONSE_CODE%",
];

fn headers(rng: &mut Rng) -> Value {
    let mut headers = Map::new();
    for direction in ["request", "response"] {
        if once_in(rng, 3) {
            continue;
        }
        let mut operations = Map::new();
        for operation in ["set", "add"] {
            if rng.bool() {
                operations.insert(operation.into(), written(rng));
            }
        }
        if rng.bool() {
            operations.insert("remove".into(), json!([one(rng, &NAMES)]));
        }
        headers.insert(direction.into(), operations.into());
    }
    headers.into()
}

fn written(rng: &mut Rng) -> Value {
    let mut fields = Map::new();
    for _ in 0..rng.usize(1..3) {
        fields.insert(one(rng, &NAMES).into(), json!(one(rng, &FORMATS)));
    }
    fields.into()
}

fn cors(rng: &mut Rng) -> Value {
    let origin = one(
        rng,
        &[
            ("exact", "https://shop.example"),
            ("exact", "*"),
            ("prefix", "https://"),
            ("regex", "https://.*\\.example"),
        ],
    );
    let mut cors = json!({"allowOrigins": [{origin.0: origin.1}]});
    if rng.bool() {
        cors["allowMethods"] = json!(["GET", "POST"]);
        cors["allowHeaders"] = json!(["x-a"]);
    }
    if rng.bool() {
        cors["exposeHeaders"] = json!(["x-b"]);
        cors["maxAge"] = json!("24h");
    }
    if rng.bool() {
        cors["allowCredentials"] = json!(rng.bool());
    }
    let unmatched = one(rng, &["UNSPECIFIED", "FORWARD", "IGNORE"]);
    cors["unmatchedPreflights"] = json!(unmatched);
    cors
}
