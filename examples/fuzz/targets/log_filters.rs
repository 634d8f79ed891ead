//! Filters of access logs: expressions of CEL, which are evaluated over an exchange.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mesh_policy::telemetry::access_log::{
    AccessLogLayer, LogFilter, LogFormat, Logger, Uploaded, channel,
};
use tokio::runtime::Builder;
use tower::{Layer, ServiceExt, service_fn};

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "log-filters",
    seeds: &[
        "response.code >= 400 && request.method == 'GET'",
        "has(request.useragent) || !connection.mtls",
        "request.headers['x-a'].startsWith('b') ? response.size > 3 : false",
        "[1, 2, 3].exists(x, x == response.code) && size(request.path) > 3",
        "request.url_path.matches('^/a(b|c)*$')",
        "{'a': [1, 2u, 3.5, true, null, b'x']}['a'][0] == 1",
        "dyn(1) + 2 * -3 / 4 % 5 != 6",
    ],
    dictionary: &[
        "request.",
        "response.",
        "connection.",
        "upstream.",
        "has(",
        "size(",
        ".map(x, ",
        ".filter(x, ",
        ".all(x, ",
        "matches(",
        "&&",
        "||",
        "==",
        "?",
        ":",
        "[",
        "]",
        "'",
        "9223372036854775807",
        "1e400",
        "0x",
        "\\u00e9",
    ],
    start: || {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime needs nothing here");
        text(move |input| {
            let Ok(filter) = input.parse::<LogFilter>() else {
                return;
            };
            let lines = runtime.block_on(logged(filter));
            assert!(lines <= 1, "{lines} lines of one exchange");
        })
    },
};

/// How many lines are written of an exchange.
async fn logged(filter: LogFilter) -> usize {
    let (sink, mut lines) = channel(4);
    let format = LogFormat::text("%RESPONSE_CODE%").expect("it is a format");
    let logger = Logger::new(format, sink).with_filter(filter);
    let answer = service_fn(|_: Request<Uploaded<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let service = AccessLogLayer::new([logger]).layer(answer);
    let request = Request::get("/ab?c").header("x-a", "bc");
    let request = request.body(Full::default()).expect("it is a request");
    let response = match service.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    drop(response.into_body().collect().await);
    let mut count = 0;
    // The exchange is over, so that nobody writes any more.
    while lines.recv().await.is_some() {
        count += 1;
    }
    count
}
