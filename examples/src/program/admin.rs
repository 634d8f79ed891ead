//! Answers questions about what is served: whether it is, by which configuration, and why a request
//! goes where it goes.

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use mesh_core::watch::Watch;

use super::files::Generation;
use super::questions::{self, text};
use crate::explain::{Asked, Explained, explain};
use crate::gateway::Statistics;

/// Answers questions about what is served.
///
/// # Errors
///
/// Connections cannot be accepted.
pub async fn serve(
    listener: TcpListener,
    current: Watch<Generation>,
    statistics: Statistics,
) -> io::Result<()> {
    let answer =
        move |request: Request<Incoming>| ready(answer(&current.load(), &statistics, &request));
    questions::serve(listener, answer).await
}

fn answer(
    current: &Generation,
    statistics: &Statistics,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let model = &current.model;
    match request.uri().path() {
        "/healthz/ready" => text(StatusCode::OK, "ready\n"),
        "/config" => json(model),
        "/fidelity" => json(&current.fidelity),
        "/explain" => match explained(current, request.uri().query().unwrap_or_default()) {
            Ok(response) => response,
            Err(message) => text(StatusCode::BAD_REQUEST, message + "\n"),
        },
        // Requests are counted if --metrics, meshConfig.defaultProviders or a Telemetry asks for it.
        "/stats/prometheus" => text(StatusCode::OK, statistics.encode()),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /healthz/ready, /config, /fidelity, /stats/prometheus and \
             /explain?method=GET&port=80&host=HOST&path=/PATH&header=NAME:VALUE\n",
        ),
    }
}

fn explained(current: &Generation, query: &str) -> Result<Response<Full<Bytes>>, String> {
    let (mut port, mut host, mut path, mut method) = (80, "", "/".to_owned(), "GET".to_owned());
    let mut headers = Vec::new();
    let decoded: Vec<(&str, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key, decode(value)))
        .collect();
    for (key, value) in &decoded {
        match *key {
            "host" => host = value,
            "path" => path.clone_from(value),
            "method" => method.clone_from(value),
            "port" => port = value.parse().map_err(|_| format!("`{value}` is no port"))?,
            "header" => headers.push(header(value)?),
            other => return Err(format!("`{other}` is not asked for")),
        }
    }
    let request = Request::builder()
        .method(method.as_str())
        .uri(format!("http://{host}{path}"));
    let (mut parts, ()) = request
        .body(())
        .map_err(|error| error.to_string())?
        .into_parts();
    parts.headers.extend(headers);
    #[expect(
        clippy::disallowed_methods,
        reason = "a question is asked at some time"
    )]
    let now = SystemTime::now();
    let (asked, mesh) = (Asked::new(parts, port), (&current.model, &current.wide));
    let Explained { decision, .. } = explain(mesh, &asked, fastrand::u64(..), now)?;
    Ok(json(&decision))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("header `{text}` is not of the form NAME:VALUE");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text)
        .decode_utf8_lossy()
        .into_owned()
}

fn json<T: serde::Serialize>(value: &T) -> Response<Full<Bytes>> {
    match serde_json::to_string_pretty(value) {
        Ok(json) => {
            let mut response = text(StatusCode::OK, json + "\n");
            let kind = HeaderValue::from_static("application/json");
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
