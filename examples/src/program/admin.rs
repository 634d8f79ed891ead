//! Answers questions about what is served: whether it is, by which configuration, and why a request
//! goes where it goes.

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use mesh_core::watch::Watch;

use super::explain_query;
use super::files::Generation;
use super::questions::{self, text};
use crate::explain::{Explained, explain};
use crate::gateway::Statistics;

/// Answers questions about what is served, for ever.
///
/// # Errors
///
/// Those of [`questions::serve`].
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
        "/stats/prometheus" => statistics.scrape(request.headers()).map(Full::from),
        _ => text(
            StatusCode::NOT_FOUND,
            format!(
                "there are /healthz/ready, /config, /fidelity, /stats/prometheus and /explain?{}\n",
                explain_query::FIELDS
            ),
        ),
    }
}

fn explained(current: &Generation, query: &str) -> Result<Response<Full<Bytes>>, String> {
    let asked = explain_query::read(query)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a question is asked at some time"
    )]
    let now = SystemTime::now();
    let mesh = (&current.model, &current.wide);
    let Explained { decision, .. } = explain(mesh, &asked, fastrand::u64(..), now)?;
    Ok(json(&decision))
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
