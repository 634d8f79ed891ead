//! The part of a Kubernetes API server that lists and watches, over HTTPS on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

type Body = BoxBody<Bytes, Infallible>;

/// What the service account of the tests proves itself by, unless it was given another token.
pub(crate) const TOKEN: &str = "token-of-the-tests";

pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    // Counts what watches have to look for.
    changed: watch::Sender<u64>,
}

struct State {
    version: u64,
    token: String,
    // Objects by group, version and plural, then by namespace and name.
    objects: BTreeMap<String, BTreeMap<(String, String), Value>>,
    events: Vec<(u64, String, Value)>,
    /// Events up to this version are forgotten.
    compacted: u64,
    gone_as_status: bool,
    refused: BTreeSet<String>,
    // What everything is answered with.
    failure: Option<(StatusCode, &'static str)>,
    // Watches of an older generation end.
    generation: u64,
    requests: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: 0,
            token: TOKEN.to_owned(),
            objects: BTreeMap::new(),
            events: Vec::new(),
            compacted: 0,
            gone_as_status: false,
            refused: BTreeSet::new(),
            failure: None,
            generation: 0,
            requests: Vec::new(),
        }
    }
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let der = CertificateDer::from(certificate.der().to_vec());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![der.clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        let address = listener.local_addr().unwrap();
        tasks.spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::clone(&shared),
        ));
        Self {
            address,
            certificate: der,
            certificate_pem: certificate.pem(),
            shared,
            _tasks: tasks,
        }
    }

    /// Makes the server have a kind, as by the definition of one: `v1/services`,
    /// `networking.istio.io/v1/serviceentries`.
    pub(crate) fn define(&self, collection: &str) {
        self.change(|state| {
            state.objects.entry(collection.to_owned()).or_default();
        });
    }

    /// Deletes the definition of a kind.
    pub(crate) fn undefine(&self, collection: &str) {
        self.change(|state| {
            state.objects.remove(collection);
            state.generation += 1;
        });
    }

    /// Stores an object.
    pub(crate) fn apply(&self, collection: &str, mut object: Value) {
        self.change(|state| {
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            object["metadata"]["managedFields"] = json!([{ "manager": "tests" }]);
            let of_kind = state.objects.entry(collection.to_owned()).or_default();
            let old = of_kind.insert(name(&object), object.clone());
            let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
            state.push(collection, kind, &object);
        });
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, collection: &str, namespace: &str, name: &str) {
        self.change(|state| {
            state.version += 1;
            let of_kind = state.objects.get_mut(collection).unwrap();
            let mut object = of_kind.remove(&(namespace.into(), name.into())).unwrap();
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.push(collection, "DELETED", &object);
        });
    }

    /// Tells watches of a kind how far they are.
    pub(crate) fn bookmark(&self, collection: &str) {
        self.change(|state| {
            state.version += 1;
            let metadata = json!({ "resourceVersion": state.version.to_string() });
            let object = json!({ "kind": "Any", "apiVersion": "v1", "metadata": metadata });
            state.push(collection, "BOOKMARK", &object);
        });
    }

    /// Forgets all events, so that a watch cannot be resumed before now: it is told so within the
    /// watch, or by the status of the response.
    pub(crate) fn compact(&self, as_status: bool) {
        self.change(|state| {
            state.version += 1;
            state.compacted = state.version;
            state.gone_as_status = as_status;
            state.events.clear();
        });
    }

    /// Ends all watches.
    pub(crate) fn end_watches(&self) {
        self.change(|state| state.generation += 1);
    }

    /// Answers `500` to everything, or no longer.
    pub(crate) fn break_down(&self, broken: bool) {
        let error = (StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        self.fail(broken.then_some(error));
    }

    /// Knows the token no longer, or again.
    pub(crate) fn expire_token(&self, expired: bool) {
        self.fail(expired.then_some((StatusCode::UNAUTHORIZED, "Unauthorized")));
    }

    /// Knows this token alone.
    pub(crate) fn replace_token(&self, token: &str) {
        self.change(|state| {
            token.clone_into(&mut state.token);
            state.generation += 1;
        });
    }

    fn fail(&self, failure: Option<(StatusCode, &'static str)>) {
        self.change(|state| {
            state.failure = failure;
            state.generation += 1;
        });
    }

    /// Refuses to let a kind be read, or no longer.
    pub(crate) fn refuse(&self, collection: &str, refused: bool) {
        self.change(|state| {
            match refused {
                true => state.refused.insert(collection.to_owned()),
                false => state.refused.remove(collection),
            };
            state.generation += 1;
        });
    }

    /// The requests since the last call, as `list v1/services` and `watch v1/services 7`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().unwrap().requests)
    }

    /// Waits until a request like that has been made.
    pub(crate) async fn wait_for(&self, request: &str) {
        let found = self.find(request);
        let waited = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(waited.is_ok(), "no {request} among {:?}", self.requests());
    }

    async fn find(&self, request: &str) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            let found = {
                let state = self.shared.state.lock().unwrap();
                state.requests.iter().any(|made| made.starts_with(request))
            };
            if found {
                return;
            }
            changed.changed().await.unwrap();
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.send_modify(|count| *count += 1);
    }
}

impl State {
    fn push(&mut self, collection: &str, kind: &str, object: &Value) {
        let event = json!({ "type": kind, "object": object });
        self.events
            .push((self.version, collection.to_owned(), event));
    }
}

fn name(object: &Value) -> (String, String) {
    let text = |field| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("namespace"), text("name"))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&request, &shared);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let response = respond(request, shared);
    shared.changed.send_modify(|count| *count += 1);
    response
}

fn respond(request: &Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let mut state = shared.state.lock().unwrap();
    let authorization = request.headers().get("authorization");
    if authorization.is_none_or(|value| value != &format!("Bearer {}", state.token)) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    if let Some((code, reason)) = state.failure {
        return status(code, reason);
    }
    let path = request.uri().path();
    let path = path
        .strip_prefix("/apis/")
        .or_else(|| path.strip_prefix("/api/"));
    let path = path.unwrap_or_default().to_owned();
    let query: BTreeMap<&str, &str> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let prefix = format!("{path}/");
    let is_group = state.objects.keys().any(|collection| {
        collection
            .strip_prefix(&prefix)
            .is_some_and(|plural| !plural.contains('/'))
    });
    if is_group {
        return resources(&path, &state);
    }
    if !state.objects.contains_key(&path) {
        return status(StatusCode::NOT_FOUND, "NotFound");
    }
    if state.refused.contains(&path) {
        return status(StatusCode::FORBIDDEN, "Forbidden");
    }
    if !query.contains_key("watch") {
        state.requests.push(format!("list {path}"));
        return list(&path, &query, &state);
    }
    let from = query.get("resourceVersion").copied().unwrap_or("0");
    state.requests.push(format!("watch {path} {from}"));
    let from: u64 = from.parse().unwrap();
    if from < state.compacted && state.gone_as_status {
        return status(StatusCode::GONE, "Expired");
    }
    let place = Place {
        shared: Arc::clone(shared),
        changed: shared.changed.subscribe(),
        collection: path,
        seen: from,
        generation: state.generation,
        ended: false,
    };
    let lines = stream::unfold(place, |mut place| async move {
        let line = place.next().await?;
        Some((Ok(Frame::data(Bytes::from(line))), place))
    });
    Response::new(BodyExt::boxed(StreamBody::new(lines)))
}

fn resources(path: &str, state: &State) -> Response<Body> {
    let prefix = format!("{path}/");
    let plurals = state
        .objects
        .keys()
        .filter_map(|collection| collection.strip_prefix(&prefix));
    let resources: Vec<Value> = plurals
        .map(|plural| {
            json!({
                "name": plural, "singularName": "", "kind": plural, "namespaced": true,
                "verbs": ["get", "list", "watch"],
            })
        })
        .collect();
    document(&json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path,
        "resources": resources,
    }))
}

fn list(path: &str, query: &BTreeMap<&str, &str>, state: &State) -> Response<Body> {
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
    let (first, limit) = (
        number("continue").unwrap_or(0),
        number("limit").unwrap_or(usize::MAX),
    );
    let all = &state.objects[path];
    let items: Vec<&Value> = all.values().skip(first).take(limit).collect();
    let next = first.saturating_add(items.len());
    let mut metadata = json!({ "resourceVersion": state.version.to_string() });
    if next < all.len() {
        metadata["continue"] = json!(next.to_string());
    }
    document(&json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items }))
}

/// Where a watch is.
struct Place {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    collection: String,
    seen: u64,
    generation: u64,
    ended: bool,
}

impl Place {
    /// The next lines of the watch, as soon as there are any; `None` when it ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.ended {
                return None;
            }
            self.changed.borrow_and_update();
            {
                let state = self.shared.state.lock().unwrap();
                if self.seen < state.compacted {
                    self.ended = true;
                    let object = failure(StatusCode::GONE, "Expired");
                    return Some(format!(
                        "{}\n",
                        json!({ "type": "ERROR", "object": object })
                    ));
                }
                let own = state.events.iter().filter(|(version, collection, _)| {
                    *version > self.seen && *collection == self.collection
                });
                let lines: String = own.map(|(_, _, event)| format!("{event}\n")).collect();
                if self.generation != state.generation {
                    self.ended = true;
                }
                if !lines.is_empty() {
                    self.seen = state.version;
                    return Some(lines);
                }
                if self.ended {
                    return None;
                }
            }
            self.changed.changed().await.ok()?;
        }
    }
}

fn document(value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(body.boxed());
    let json = "application/json".parse().unwrap();
    response.headers_mut().insert("content-type", json);
    response
}

fn status(code: StatusCode, reason: &str) -> Response<Body> {
    let mut response = document(&failure(code, reason));
    *response.status_mut() = code;
    response
}

fn failure(code: StatusCode, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": format!("{reason} by the tests"), "code": code.as_u16(),
    })
}
