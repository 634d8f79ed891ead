use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use mesh_core::attributes::{ResetReason, UpstreamReset};
use mesh_core::model::cluster::EndpointAddress;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::new_service::{NewService, Target};
use super::probe_queue::ProbeQueue;
use super::seams::now;
use crate::balance::host::Host;
use crate::cluster::Upstream;
#[cfg(unix)]
use crate::endpoint::socket_path;
use crate::health::probe::{Answer, Probe, ProbeSettings};

/// How long it may take until a new endpoint is probed.
const LOOK: Duration = Duration::from_secs(1);

/// Most bytes of a gRPC answer: a status is a few.
const MAX_ANSWER: usize = 1024;

/// Probes the endpoints of a cluster as long as the future is polled, and tells the balancer who is
/// well. An endpoint that has not answered yet counts as well. One that is well by its probes returns
/// from an ejection with the next of them that succeeds (Envoy's
/// `successful_active_health_check_uneject_host`, which is on by default).
///
/// HTTP and gRPC probes go through what `new_service` makes, TCP probes make a connection of their
/// own. A connection that cannot be made, or that ends before the answer, is a failure, whatever is
/// answered in its place; a probe that our own limits stop says nothing. A probe of which no request can be made, because its path does not begin with `/` or a
/// character has no place in a URI, fails; the host of a gRPC probe is the cluster's.
///
/// # Cancel safety
///
/// To drop the future stops the probes. Endpoints keep the health that they have.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::balance::PickRequest;
/// use mesh_discovery::cluster::Upstream;
/// use mesh_discovery::health::probe::{Probe, ProbeSettings};
/// use mesh_discovery::locality::Client;
/// use mesh_discovery::service::{Target, probe};
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut cluster = Cluster::new(ClusterName::from("cart"));
/// cluster.policy.outlier_detection = Some(Box::default());
/// let address = EndpointAddress::Ip(([10, 0, 0, 7], 80).into());
/// cluster.endpoints.push(Endpoint::new(address));
/// let now = || tokio::time::Instant::now().into_std();
/// let upstream = Arc::new(Upstream::new(Arc::new(cluster), Client::default(), now(), 0));
///
/// let failing = |_: &Target| {
///     service_fn(|_: Request<Full<Bytes>>| async {
///         let mut response = Response::new(Full::<Bytes>::default());
///         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
///         Ok::<_, Infallible>(response)
///     })
/// };
/// let probes = probe(upstream.clone(), failing, ProbeSettings::new(Probe::http("/healthz")));
/// let _ = tokio::time::timeout(Duration::from_secs(5), probes).await;
/// assert!(upstream.balancer().pick(&PickRequest::new(now()), || 0).is_none());
/// # }
/// ```
pub async fn probe<M, ReqBody, ResBody>(
    upstream: Arc<Upstream>,
    new_service: M,
    settings: ProbeSettings,
) -> Infallible
where
    M: NewService,
    M::Service: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: From<Bytes>,
    ResBody: Body,
{
    let mut queue = ProbeQueue::new(settings.clone());
    let mut answers = FuturesUnordered::new();
    let mut look = now();
    loop {
        let now = now();
        if look <= now {
            queue.follow(upstream.balancer().hosts(), now);
            look = now + LOOK;
        }
        while let Some(host) = queue.take_due(now) {
            answers.push(ask(&upstream, &new_service, host, &settings));
        }
        let next = queue.next_due().map_or(look, |due| due.min(look));
        tokio::select! {
            Some((host, answer)) = answers.next() => handle(&upstream, &mut queue, &host, answer),
            () = sleep(wait(next)) => {}
        }
    }
}

fn wait(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}

fn handle(upstream: &Upstream, queue: &mut ProbeQueue, host: &Host, answer: Option<Answer>) {
    let now = now();
    if let Some(is_healthy) = queue.handle_answer(host, answer, now) {
        upstream.balancer().record_probe_of(host, is_healthy, now);
    }
}

/// Probes one endpoint once. `None` says nothing of it.
async fn ask<M, ReqBody, ResBody>(
    upstream: &Upstream,
    new_service: &M,
    host: Host,
    settings: &ProbeSettings,
) -> (Host, Option<Answer>)
where
    M: NewService,
    M::Service: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: From<Bytes>,
    ResBody: Body,
{
    let target = Target {
        endpoint: Arc::clone(host.endpoint()),
        cluster: upstream.cluster(),
        breakers: Arc::clone(upstream.breakers()),
        downstream: None,
    };
    let name = &target.cluster.name;
    let authority = name.host().unwrap_or(name.as_str());
    let asking = async {
        let request = match request(&settings.probe, authority) {
            Ok(Some(request)) => request,
            Ok(None) => return Some(connect(&target.endpoint.address).await),
            Err(InvalidProbe) => return Some(Answer::Failure),
        };
        let mut service = new_service.new_service(&target);
        if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
            return Some(Answer::Failure);
        }
        match service.call(request).await {
            Ok(response) => evaluate(&settings.probe, response).await,
            Err(_) => Some(Answer::Failure),
        }
    };
    let answer = timeout(settings.timeout, asking).await;
    (host, answer.unwrap_or(Some(Answer::Failure)))
}

/// The request of a probe; `None` if it is only a connection.
fn request<B: From<Bytes>>(
    probe: &Probe,
    cluster: &str,
) -> Result<Option<Request<B>>, InvalidProbe> {
    let request = match probe {
        Probe::Tcp => return Ok(None),
        Probe::Http { path, host, .. } => {
            let uri = uri(host.as_deref().unwrap_or(cluster), path)?;
            Request::get(uri).body(B::from(Bytes::new()))
        }
        Probe::Grpc { service } => Request::post(uri(cluster, "/grpc.health.v1.Health/Check")?)
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(B::from(health_check_request(service))),
    };
    request.map(Some).map_err(|_| InvalidProbe)
}

/// No request can be made of a probe.
#[derive(Debug)]
struct InvalidProbe;

fn uri(host: &str, path: &str) -> Result<Uri, InvalidProbe> {
    if !path.starts_with('/') {
        return Err(InvalidProbe);
    }
    let uri = Uri::builder().scheme("http").authority(host);
    uri.path_and_query(path).build().map_err(|_| InvalidProbe)
}

async fn connect(address: &EndpointAddress) -> Answer {
    let connected = match address {
        EndpointAddress::Dns { host, port } => TcpStream::connect((host.as_str(), *port)).await,
        EndpointAddress::Ip(address) => TcpStream::connect(address).await,
        #[cfg(unix)]
        EndpointAddress::Unix(path) => {
            return match tokio::net::UnixStream::connect(socket_path(path)).await {
                Ok(_) => Answer::Success,
                Err(_) => Answer::Failure,
            };
        }
        #[cfg(not(unix))]
        EndpointAddress::Unix(_) => return Answer::Failure,
    };
    match connected {
        Ok(_) => Answer::Success,
        Err(_) => Answer::Failure,
    }
}

async fn evaluate<B: Body>(probe: &Probe, response: Response<B>) -> Option<Answer> {
    match UpstreamReset::of(response.extensions()).map(|reset| reset.reason) {
        Some(ResetReason::Overflow) => None,
        // The endpoint has not said it: that counts to the threshold, as in Envoy.
        Some(_) => Some(Answer::Failure),
        None => Some(judge(probe, response).await),
    }
}

/// What the endpoint says.
async fn judge<B: Body>(probe: &Probe, response: Response<B>) -> Answer {
    let answer = probe.evaluate_status(response.status().as_u16());
    match (probe, answer) {
        (Probe::Grpc { .. }, Answer::Success) => match message(response.into_body()).await {
            Some(message) => Probe::evaluate_serving(serving_status(&message)),
            None => Answer::Failure,
        },
        (_, answer) => answer,
    }
}

/// A framed `HealthCheckRequest`: the service is field 1.
fn health_check_request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put(message);
    frame.freeze()
}

/// Seven bits a byte, the lowest first; all but the last have the eighth set.
fn put_varint(buffer: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// The message in the body, without its frame.
async fn message<B: Body>(body: B) -> Option<Vec<u8>> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(mut data) = frame.ok()?.into_data() else {
            continue;
        };
        if bytes.len() + data.remaining() > MAX_ANSWER {
            return None;
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    (bytes.len() >= 5).then(|| bytes.split_off(5))
}

/// The status of a `HealthCheckResponse`: field 1, `UNKNOWN` (0) if it is absent.
fn serving_status(message: &[u8]) -> i32 {
    match message {
        [0x08, status, ..] => i32::from(*status),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use mesh_core::model::cluster::{Cluster, Endpoint};
    use mesh_core::service::ClusterName;
    use tokio::net::TcpListener;
    use tower::discover::Change;
    use tower::service_fn;

    use super::*;
    use crate::balance::PickRequest;
    use crate::balance::testing::endpoint;
    use crate::health::outlier::Outcome;
    use crate::locality::Client;

    #[test]
    fn grpc_messages_are_framed_protobuf() {
        assert_eq!(&health_check_request("")[..], [0, 0, 0, 0, 0]);
        let expected = b"\0\0\0\0\x06\x0a\x04cart";
        assert_eq!(&health_check_request("cart")[..], expected);
        let long = "é".repeat(150);
        let framed = health_check_request(&long);
        // 300 is 0b10_0101100.
        assert_eq!(framed[..8], [0, 0, 0, 1, 47, 0x0a, 0b1010_1100, 0b10]);
        assert_eq!(&framed[8..], long.as_bytes());
        assert_eq!(serving_status(&[0x08, 0x01]), 1);
        assert_eq!(serving_status(&[]), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_serves_again_is_picked_again() {
        // What the endpoint says: second by second, SERVING or NOT_SERVING.
        let start = now();
        let answer = move |request: Request<Full<Bytes>>| {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let serves = now().duration_since(start) > Duration::from_secs(15);
            let status = 2 - u8::from(serves);
            let body = Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]);
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body))))
        };
        let answers = move |_: &Target| service_fn(answer);
        let upstream = upstream(EndpointAddress::Ip(([10, 0, 0, 7], 80).into()));
        let probe_settings = ProbeSettings::new(Probe::Grpc {
            service: "cart".into(),
        });
        let probes = probe(Arc::clone(&upstream), answers, probe_settings);
        tokio::pin!(probes);
        let picked = || {
            upstream
                .balancer()
                .pick(&PickRequest::new(now()), || 0)
                .is_some()
        };
        for (seconds, expected) in [(5, false), (20, false), (15, true)] {
            let _ = timeout(Duration::from_secs(seconds), &mut probes).await;
            assert_eq!(picked(), expected, "{seconds} s later");
        }
    }

    #[tokio::test]
    async fn a_probe_of_which_no_request_can_be_made_fails_though_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = EndpointAddress::Ip(listener.local_addr().unwrap());
        let grpc = || Probe::Grpc {
            service: String::new(),
        };
        let cases = [
            ("path", "cart", Probe::http("/health z"), Answer::Failure),
            ("no slash", "cart", Probe::http("healthz"), Answer::Failure),
            ("no path", "cart", Probe::http(""), Answer::Failure),
            ("cluster", "a|b", grpc(), Answer::Failure),
            ("well", "cart", Probe::http("/healthz?a=b"), Answer::Success),
            ("TCP", "a|b", Probe::Tcp, Answer::Success),
        ];
        let well = |request: Request<Full<Bytes>>| {
            assert_eq!(request.uri(), "http://cart/healthz?a=b");
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        };
        let well = move |_: &Target| service_fn(well);
        for (name, cluster, probe, expected) in cases {
            let upstream = called(cluster, address.clone());
            let host = upstream.balancer().hosts()[0].clone();
            let settings = ProbeSettings::new(probe);
            let (_, answer) = ask(&upstream, &well, host, &settings).await;
            assert_eq!(answer, Some(expected), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_endpoint_that_is_well_by_its_probes_returns_with_the_next() {
        let well = |_: Request<Full<Bytes>>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        };
        let well = move |_: &Target| service_fn(well);
        let upstream = upstream(EndpointAddress::Ip(([10, 0, 0, 7], 80).into()));
        let settings = ProbeSettings::new(Probe::http("/"));
        let probes = probe(Arc::clone(&upstream), well, settings);
        tokio::pin!(probes);
        let pick = || upstream.balancer().pick(&PickRequest::new(now()), || 0);
        let _ = timeout(Duration::from_secs(15), &mut probes).await;
        let host = pick().unwrap();
        let ejection = upstream
            .balancer()
            .record(&host, Outcome::Status(503), now());
        assert!(ejection.is_some() && pick().is_none());
        let _ = timeout(Duration::from_secs(4), &mut probes).await;
        assert!(pick().is_none(), "it is probed every ten seconds");
        let _ = timeout(Duration::from_secs(2), &mut probes).await;
        assert!(pick().is_some(), "long before its 30 s are over");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_place_of_an_answer_counts_as_a_failure_or_not_at_all() {
        let failure = ResetReason::ConnectionFailure;
        // What is answered in place of the endpoint, for how many probes, and whether it is well then.
        let cases = [
            ("two failures", failure, 2, true),
            ("three failures", failure, 3, false),
            ("limits of ours", ResetReason::Overflow, 9, true),
        ];
        for (name, reason, probes, expected) in cases {
            let start = now();
            let answer = move |_: Request<Full<Bytes>>| {
                let response = in_place_of_all_but_the_first(start, reason);
                std::future::ready(Ok::<_, Infallible>(response))
            };
            let answers = move |_: &Target| service_fn(answer);
            let upstream = upstream(EndpointAddress::Ip(([10, 0, 0, 7], 80).into()));
            let settings = ProbeSettings::new(Probe::http("/"));
            let probing = probe(Arc::clone(&upstream), answers, settings);
            let _ = timeout(Duration::from_secs(probes * 10 + 5), probing).await;
            let picked = upstream.balancer().pick(&PickRequest::new(now()), || 0);
            assert_eq!(picked.is_some(), expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_comes_back_between_two_looks_is_judged_anew() {
        let ill = |_: Request<Full<Bytes>>| {
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            std::future::ready(Ok::<_, Infallible>(response))
        };
        let ill = move |_: &Target| service_fn(ill);
        let address = EndpointAddress::Ip(([10, 0, 0, 7], 80).into());
        let upstream = upstream(address.clone());
        let settings = ProbeSettings::new(Probe::http("/"));
        let probes = probe(Arc::clone(&upstream), ill, settings);
        tokio::pin!(probes);
        let pick = || upstream.balancer().pick(&PickRequest::new(now()), || 0);
        let _ = timeout(Duration::from_millis(500), &mut probes).await;
        assert!(pick().is_none());

        let back = Arc::new(Endpoint::new(address.clone()));
        let changes = [
            Change::Remove(address.clone()),
            Change::Insert(address, back),
        ];
        upstream.balancer().apply(changes, now());
        assert!(pick().is_some(), "one that has not answered yet is well");
        let _ = timeout(LOOK, &mut probes).await;
        assert!(pick().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_ten_thousand_endpoints_is_probed_once_an_interval() {
        let asked = std::cell::Cell::new(0);
        let well = |_: &Target| {
            service_fn(|_: Request<Full<Bytes>>| {
                asked.set(asked.get() + 1);
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
            })
        };
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        cluster.endpoints = (0..10_000).map(endpoint).collect();
        let upstream = Upstream::new(Arc::new(cluster), Client::default(), now(), 0);
        let settings = ProbeSettings::new(Probe::http("/"));
        let probes = probe(Arc::new(upstream), well, settings);
        tokio::pin!(probes);
        for (seconds, expected) in [(5, 10_000), (10, 20_000)] {
            let _ = timeout(Duration::from_secs(seconds), &mut probes).await;
            assert_eq!(asked.get(), expected);
        }
    }

    #[tokio::test]
    async fn a_tcp_probe_makes_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = EndpointAddress::Ip(listener.local_addr().unwrap());
        assert_eq!(connect(&address).await, Answer::Success);
        drop(listener);
        assert_eq!(connect(&address).await, Answer::Failure);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_tcp_probe_of_an_abstract_socket_finds_it() {
        let path = format!("@mesh-probe-{}", std::process::id());
        let address = EndpointAddress::Unix(path.clone());
        assert_eq!(connect(&address).await, Answer::Failure);
        let _listener = tokio::net::UnixListener::bind(socket_path(&path)).unwrap();
        assert_eq!(connect(&address).await, Answer::Success);
    }

    fn in_place_of_all_but_the_first(start: Instant, reason: ResetReason) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        if now() > start {
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            let reset = UpstreamReset::before_request(reason);
            response.extensions_mut().insert(reset);
        }
        response
    }

    fn upstream(address: EndpointAddress) -> Arc<Upstream> {
        called("cart", address)
    }

    fn called(name: &str, address: EndpointAddress) -> Arc<Upstream> {
        let mut cluster = Cluster::new(ClusterName::from(name));
        let outlier = r#"{"consecutive5xxErrors": 1, "maxEjectionPercent": 100}"#;
        cluster.policy.outlier_detection = Some(serde_json::from_str(outlier).unwrap());
        cluster.endpoints.push(Endpoint::new(address));
        let cluster = Arc::new(cluster);
        Arc::new(Upstream::new(cluster, Client::default(), now(), 0))
    }
}
