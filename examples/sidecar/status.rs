//! What the cluster asks: whether the sidecar is ready, how the application is, and what was counted.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use bytes::Bytes;
use examples::gateway::Statistics;
use examples::program::Proxy;
use examples::program::questions::{self, text};
use futures_util::future::try_join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use mesh_tls::resolve::LiveIdentity;

use crate::probes::Prober;

/// Knows the answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    statistics: Statistics,
    identity: Option<LiveIdentity>,
    prober: Arc<Prober>,
}

impl Status {
    /// Answers for `proxy`, which waits for `identity`, and for the application that `prober` knows.
    pub(crate) fn new(proxy: &Proxy, identity: Option<LiveIdentity>, prober: Prober) -> Self {
        Self {
            statistics: proxy.gateway().statistics(),
            identity,
            prober: Arc::new(prober),
        }
    }

    /// Whether connections can be served: a configuration is, or there would be no status; it remains
    /// to be known who the workload is.
    fn is_ready(&self) -> bool {
        let identity = self.identity.as_ref();
        identity.is_none_or(|identity| identity.svid().is_some())
    }

    /// Waits until connections can be served.
    pub(crate) async fn ready(&self) {
        if let Some(identity) = &self.identity {
            identity.ready().await;
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        match path {
            "/healthz/ready" if self.is_ready() => text(StatusCode::OK, "ready\n"),
            "/healthz/ready" => {
                let why = "the workload has no identity yet\n";
                text(StatusCode::SERVICE_UNAVAILABLE, why)
            }
            "/stats/prometheus" | "/metrics" => {
                self.statistics.scrape(request.headers()).map(Full::from)
            }
            path if path.starts_with("/app-") => self.prober.answer(path, request.headers()).await,
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /healthz/ready, /stats/prometheus and the paths of --probes\n",
            ),
        }
    }
}

/// Answers at all of the sockets.
pub(crate) async fn serve(sockets: Vec<TcpListener>, status: &Status) -> io::Result<()> {
    let serving = sockets.into_iter().map(|socket| {
        let status = status.clone();
        questions::serve(socket, move |request| status.clone().answer(request))
    });
    try_join_all(serving).await.map(drop)
}
