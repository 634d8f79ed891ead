//! Envoy's format strings, of headers and access logs.

use std::time::SystemTime;

use mesh_core::format_string::{Constants, Exchange, FormatString, HeaderFormat};
use mesh_core::resource::Value;
use mesh_policy::telemetry::access_log::LogFormat;

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "formats",
    seeds: &[
        "%REQ(x-a?:path):10%",
        "%START_TIME(%Y-%m-%dT%H:%M:%S.%3f%z)% %PROTOCOL%",
        "100%% %RESPONSE_CODE% %RESP(x)% %RESPONSE_FLAGS%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "%DYNAMIC_METADATA(envoy.lb:a:b)%",
        "[%HOSTNAME%] %ENVIRONMENT(ZONE):2%",
    ],
    dictionary: &[
        "%",
        "%%",
        "REQ(",
        ")",
        ":",
        "?",
        "START_TIME(",
        "%s",
        "%9f",
        "%E*S",
    ],
    start: || {
        let constants = Constants::default();
        let request = http::Request::get("http://shop.example/cart").body(());
        let (request, ()) = request.expect("it is one").into_parts();
        text(move |text| {
            let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
            if let Ok(format) = FormatString::parse(text, &constants) {
                format.evaluate(&exchange, "-");
            }
            if let Ok(format) = LogFormat::text(text) {
                assert!(format.line(&exchange).ends_with(b"\n"));
            }
            let labels = [("a".to_owned(), Value::String(text.to_owned()))];
            if let Ok(format) = LogFormat::json(&labels.into()) {
                let line = format.line(&exchange);
                let line: serde_json::Value =
                    serde_json::from_slice(&line).expect("a line is JSON");
                assert!(line.is_object());
            }
            if let Ok(format) = HeaderFormat::parse(text, &constants) {
                format.evaluate(&exchange);
            }
        })
    },
};
