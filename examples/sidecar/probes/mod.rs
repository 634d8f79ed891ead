//! Probes of the application, which the kubelet asks of the sidecar: it does not speak mutual TLS, and
//! a sidecar takes every connection, whether the application is well or not.
//!
//! As Istio's agent does, the sidecar asks what the kubelet would have asked, and answers what the
//! application answers (`pilot/cmd/pilot-agent/status/server.go`). Two things are different: where no
//! timeout is given, it is Kubernetes's second; and HTTPS is asked by HTTP/1.1.

mod grpc;
mod http;
mod written;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use examples::program::questions::text;
use examples::program::report::chain;
use examples::upstream::connect_from;
use http_body_util::Full;
use tokio::net::TcpStream;

pub(crate) use self::written::Probes;
use self::written::{Action, Probe};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Probes an application.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    /// Where it is.
    pub(crate) application: IpAddr,
    /// The address to ask from; `None` leaves it to the system.
    pub(crate) source: Option<IpAddr>,
    /// The ports at which the sidecar itself is asked.
    pub(crate) ports: Vec<u16>,
    /// What is asked.
    pub(crate) probes: Probes,
}

impl Prober {
    /// What the application answers to the probe of a path, which came with `headers`.
    pub(crate) async fn answer(&self, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(probe) = self.probes.get(path) else {
            let why = format!("no probe of the application is known for {path}\n");
            return text(StatusCode::BAD_REQUEST, why);
        };
        let asking = within(probe.timeout, self.ask(probe, headers));
        asking.await.unwrap_or_else(|error| {
            let why = chain(&*error);
            eprintln!("the probe {path} failed: {why}");
            text(StatusCode::INTERNAL_SERVER_ERROR, why + "\n")
        })
    }

    async fn ask(
        &self,
        probe: &Probe,
        headers: &HeaderMap,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        match &probe.action {
            Action::Http(get) => http::ask(self, get, headers).await,
            Action::Tcp { port } => {
                self.connect(*port).await?;
                Ok(text(StatusCode::OK, ""))
            }
            Action::Grpc { port, service } => {
                grpc::ask(self, *port, service).await?;
                Ok(text(StatusCode::OK, ""))
            }
        }
    }

    async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        connect_from(self.source, SocketAddr::new(self.application, port)).await
    }
}

async fn within<T>(
    timeout: Duration,
    asking: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let answered = tokio::time::timeout(timeout, asking).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}").into()))
}

#[cfg(test)]
mod tests;
