use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use examples::explain::{Asked, Explained, explain};
use examples::gateway::Statistics;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mesh_core::watch::Watch;
use tokio::net::TcpListener;

use crate::Generation;

/// How long a connection may be open: a client that is slow keeps no other waiting, but a socket.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Binds the address where questions are answered.
pub(crate) fn bind(address: SocketAddr) -> io::Result<StdTcpListener> {
    let listener = StdTcpListener::bind(address).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{address}, of --admin, is not free: {error}"),
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers questions about what is served.
pub(crate) async fn serve(
    listener: StdTcpListener,
    current: Watch<Generation>,
    statistics: Statistics,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (current, statistics) = (current.clone(), statistics.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let response = answer(&current.load(), &statistics, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            let http = http.keep_alive(false);
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            // The client's trouble is not ours.
            let _ = tokio::time::timeout(TIMEOUT, connection).await;
        });
    }
}

fn answer(
    current: &Generation,
    statistics: &Statistics,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let Generation {
        model,
        wide: _,
        fidelity,
    } = current;
    match request.uri().path() {
        "/healthz/ready" => text(StatusCode::OK, "ready\n".to_owned()),
        "/config" => json(model),
        "/fidelity" => json(fidelity),
        "/explain" => match explained(current, request.uri().query().unwrap_or_default()) {
            Ok(response) => response,
            Err(message) => text(StatusCode::BAD_REQUEST, message + "\n"),
        },
        // Requests are counted if --metrics, meshConfig.defaultProviders or a Telemetry asks for it.
        "/stats/prometheus" => text(StatusCode::OK, statistics.encode()),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /healthz/ready, /config, /fidelity, /stats/prometheus and \
             /explain?method=GET&port=80&host=HOST&path=/PATH&header=NAME:VALUE\n"
                .to_owned(),
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

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
