//! A client that balances over the endpoints of names, while these die and return.
//!
//! ```sh
//! cargo run --example dns-balanced-client
//! ```
//!
//! [`DnsDriver`] looks names up again and again, by whatever [`Resolve`]s. [`Balance`] spreads
//! requests over what was found, and outlier detection leaves out what fails. With
//! `mesh_discovery::source::dns::Resolver`, the names are those of real DNS.
//!
//! Requests go over the connections of [`Pools`], which are hyper's, or by reqwest: whatever sends a
//! request to an endpoint will do.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::collections::BTreeMap;
use std::error::Error;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use examples::help::NoArguments;
use http::{Request, Response};
use http_body_util::Full;
use mesh_core::attributes::SelectedEndpoint;
use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
use mesh_core::service::ClusterName;
use mesh_discovery::cluster::Upstream;
use mesh_discovery::connect::{Pools, TcpConnector};
use mesh_discovery::locality::Client;
use mesh_discovery::service::{Balance, Target};
use mesh_discovery::source::dns::{Answer, DnsDriver, RefreshSettings, Resolve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::{Service, ServiceExt, service_fn};

type Failure = Box<dyn Error + Send + Sync>;

/// How long names are good.
const TTL: Duration = Duration::from_millis(20);

const HELP: NoArguments = NoArguments {
    name: "dns-balanced-client",
    shows: "Balance over the endpoints of names, while these die and return.",
    expect: "It serves itself on loopback, says how few requests failed meanwhile, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    HELP.parse();
    let ((one, _serving), (two, serving)) = (serve(0).await?, serve(0).await?);
    let zone = Zone::default();
    zone.set(&["one.books", "two.books"]);
    let upstream = resolved([("one.books", one), ("two.books", two)], zone.clone()).await?;
    let client = Balance::new(Arc::clone(&upstream), Pools::new(TcpConnector::new()));
    let both = BTreeMap::from([((200, one), 10), ((200, two), 10)]);
    assert_eq!(answers(&client).await?, both);

    let reqwest = reqwest::Client::builder();
    let reqwest = reqwest.no_proxy().tls_certs_only([]).build()?;
    let by_reqwest = Balance::new(Arc::clone(&upstream), move |target: &Target| {
        let (reqwest, address) = (reqwest.clone(), target.endpoint.address.clone());
        service_fn(move |request| send(reqwest.clone(), address.clone(), request))
    });
    assert_eq!(answers(&by_reqwest).await?, both);

    // An endpoint that cannot be reached is left out after its first failure.
    serving.abort();
    let _ = serving.await;
    let failed = BTreeMap::from([((200, one), 19), ((503, two), 1)]);
    assert_eq!(answers(&client).await?, failed);

    // One that has left DNS and returned is a new one.
    zone.set(&["one.books"]);
    until(|| upstream.cluster().endpoints.len() == 1).await?;
    let (_, _serving) = serve(two).await?;
    assert_eq!(answers(&client).await?, BTreeMap::from([((200, one), 20)]));
    zone.set(&["one.books", "two.books"]);
    until(|| upstream.cluster().endpoints.len() == 2).await?;
    assert_eq!(answers(&client).await?, both);
    println!("one of 100 requests failed, while an endpoint died, left and returned");
    Ok(())
}

/// A cluster of two names, once both are looked up, and kept up to date.
async fn resolved(names: [(&str, u16); 2], zone: Zone) -> Result<Arc<Upstream>, Failure> {
    let mut cluster = Cluster::new(ClusterName::outbound(80, "", "books.example"));
    cluster.discovery = Discovery::StrictDns;
    cluster.endpoints = names
        .map(|(host, port)| {
            Endpoint::new(EndpointAddress::Dns {
                host: host.into(),
                port,
            })
        })
        .into();
    cluster.policy.load_balancer = Some(serde_json::from_str(r#"{"simple": "ROUND_ROBIN"}"#)?);
    cluster.policy.outlier_detection = Some(serde_json::from_str(
        r#"{"consecutive5xxErrors": 1, "baseEjectionTime": "60s", "maxEjectionPercent": 50}"#,
    )?);

    // What is not found is looked up again after the same time as what is.
    let settings = RefreshSettings {
        refresh: TTL,
        ..RefreshSettings::default()
    };
    let mut driver = DnsDriver::new(zone, settings);
    driver.replace(&BTreeMap::from([(cluster.name.clone(), Arc::new(cluster))]));
    let mut resolved = driver.next().await;
    while resolved.endpoints.len() < 2 {
        resolved = driver.next().await;
    }
    let now = Instant::now().into_std();
    let upstream = Arc::new(Upstream::new(resolved, Client::default(), now, 0));
    let kept = Arc::clone(&upstream);
    tokio::spawn(async move {
        loop {
            kept.replace(driver.next().await, Instant::now().into_std());
        }
    });
    Ok(upstream)
}

/// Sends a request to an endpoint by reqwest, which connects to what the URI names.
async fn send(
    client: reqwest::Client,
    address: EndpointAddress,
    request: Request<Full<Bytes>>,
) -> Result<Response<Body>, Failure> {
    let EndpointAddress::Ip(address) = address else {
        return Err("the name is not resolved".into());
    };
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    head.uri = format!("http://{address}{path}").parse()?;
    let request = Request::from_parts(head, reqwest::Body::wrap(body));
    let response = client.execute(request.try_into()?).await?;
    Ok(Response::from(response).map(Body::new))
}

/// Names that are found, all of them at the loopback address.
#[derive(Clone, Debug, Default)]
struct Zone(Arc<Mutex<Vec<String>>>);

impl Zone {
    fn set(&self, names: &[&str]) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *found = names.iter().map(ToString::to_string).collect();
    }
}

impl Resolve for Zone {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match found.iter().any(|name| name == host) {
            true => Answer::Addresses {
                addresses: vec![[127, 0, 0, 1].into()],
                ttl: TTL,
            },
            false => Answer::NoAddress,
        };
        Box::pin(ready(answer))
    }
}

/// Serves an endpoint that keeps no connection.
async fn serve(port: u16) -> io::Result<(u16, JoinHandle<io::Result<()>>)> {
    let app = Router::new().fallback(|| async { [("connection", "close")] });
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let port = listener.local_addr()?.port();
    Ok((port, tokio::spawn(axum::serve(listener, app).into_future())))
}

/// What 20 requests are answered, by status and port.
async fn answers<S, B>(client: &S) -> Result<BTreeMap<(u16, u16), usize>, Failure>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<Failure>> + Clone,
{
    let mut counts = BTreeMap::new();
    for _ in 0..20 {
        let request = Request::get("http://books.example/").body(Full::default())?;
        let response = client.clone().oneshot(request).await.map_err(Into::into)?;
        let selected = response.extensions().get::<SelectedEndpoint>();
        let port = selected.and_then(|SelectedEndpoint(endpoint)| endpoint.address.port());
        let answer = (response.status().as_u16(), port.unwrap_or_default());
        *counts.entry(answer).or_default() += 1;
    }
    Ok(counts)
}

/// Waits until something holds, for a while.
async fn until(holds: impl Fn() -> bool) -> Result<(), Failure> {
    let held = async {
        while !holds() {
            sleep(TTL).await;
        }
    };
    Ok(timeout(Duration::from_secs(5), held).await?)
}
