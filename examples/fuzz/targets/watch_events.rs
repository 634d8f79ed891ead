//! Events of a watch of Kubernetes, and what they leave of a configuration.

use std::convert::Infallible;
use std::future::{Pending, pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use kube::Client;
use kube::client::Body;
use mesh_core::config::MeshConfig;
use mesh_core::resource::kind::Kind;
use mesh_discovery::registry::{Debounce, Registry};
use mesh_discovery::source::kubernetes::{Kubernetes, Pauses};
use mesh_discovery::source::{Source, Update};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::service_fn;

use super::{Feed, Target};

/// How long events that have all arrived may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kinds whose events are fed in turns. What cannot be read of the second is replaced by what forbids
/// everything.
const KINDS: [Kind; 2] = [Kind::EndpointSlice, Kind::AuthorizationPolicy];

pub(crate) const TARGET: Target = Target {
    name: "watch-events",
    seeds: &[
        r#"{"type":"ADDED","object":{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"cart-1","namespace":"shop","resourceVersion":"7","labels":{"kubernetes.io/service-name":"cart"}},"addressType":"IPv4","ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["10.0.0.7"],"conditions":{"ready":true}}]}}
{"type":"BOOKMARK","object":{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"8"}}}
"#,
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"deny","namespace":"shop","resourceVersion":"9"},"spec":{"action":"DENY","rules":[{"from":[{"source":{"ipBlocks":["10.0.0.0/8"]}}]}]}}}
{"type":"DELETED","object":{"metadata":{"name":"deny","namespace":"shop","resourceVersion":"10"}}}
"#,
        r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}
"#,
    ],
    dictionary: &[
        "\"ADDED\"",
        "\"DELETED\"",
        "\"ERROR\"",
        "\"BOOKMARK\"",
        "\"metadata\":",
        "\"namespace\":",
        "\"spec\":",
        "\n",
        "null",
        "{}",
        "[]",
        "403",
        "410",
    ],
    start,
};

fn start() -> Feed {
    // Pauses take no time: whatever is waited for, there is nobody else who could do something.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime can be built");
    let mut kinds = KINDS.into_iter().cycle();
    Box::new(move |input| {
        let kind = kinds.next().unwrap_or(Kind::EndpointSlice);
        feed(&runtime, kind, input);
    })
}

fn feed(runtime: &Runtime, kind: Kind, input: &[u8]) {
    runtime.block_on(async {
        let server = Server::new(kind, input);
        let pauses = Pauses {
            base: Duration::ZERO,
            max: Duration::ZERO,
            recheck: Duration::ZERO,
        };
        let source = Kubernetes::new(server.client()).with_kinds([kind]);
        let mut source = source.with_pauses(pauses);
        let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
        let id = registry.add_cluster("fuzz");
        let taking = async {
            loop {
                tokio::select! {
                    biased;
                    update = poll_fn(|cx| source.poll_update(cx)) => {
                        let update = update.expect("a watch does not end");
                        check(&update, kind);
                        registry.handle_update(id, update, Instant::now().into_std());
                    }
                    () = server.0.over.notified() => break,
                }
            }
        };
        let taken = tokio::time::timeout(PATIENCE, taking).await;
        assert!(
            taken.is_ok(),
            "the watch has ended and is not taken up again"
        );
        let _ = registry.poll(Instant::now().into_std());
        let _ = registry.status();
    });
}

fn check(update: &Update, kind: Kind) {
    let (Update::Changes { applied, .. } | Update::All(applied)) = update else {
        return;
    };
    assert!(applied.iter().all(|object| object.kind() == kind));
}

/// An API server with one kind, no objects, and one watch.
#[derive(Clone)]
struct Server(Arc<State>);

struct State {
    kind: Kind,
    events: Bytes,
    was_watched: AtomicBool,
    /// The server is asked again after the watch.
    over: Notify,
}

impl Server {
    fn new(kind: Kind, events: &[u8]) -> Self {
        Self(Arc::new(State {
            kind,
            events: Bytes::copy_from_slice(events),
            was_watched: AtomicBool::new(false),
            over: Notify::new(),
        }))
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let answer = move |request: Request<Body>| {
            let server = server.clone();
            let uri = request.uri().clone();
            async move { server.answer(&uri).await }
        };
        Client::new(service_fn(answer), "default")
    }

    async fn answer(&self, uri: &Uri) -> Result<Response<Full<Bytes>>, Infallible> {
        let State { kind, .. } = &*self.0;
        if self.0.was_watched.load(Ordering::Relaxed) {
            self.0.over.notify_one();
            let never: Pending<_> = pending();
            return never.await;
        }
        let is_watch = uri
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        let body = if is_watch {
            self.0.was_watched.store(true, Ordering::Relaxed);
            self.0.events.clone()
        } else if uri.path().ends_with(kind.plural()) {
            json!({ "metadata": { "resourceVersion": "1" }, "items": [] })
                .to_string()
                .into()
        } else {
            let resource = json!({
                "name": kind.plural(), "singularName": "", "namespaced": true,
                "kind": kind.name(), "verbs": ["list", "watch"],
            });
            json!({ "groupVersion": "", "resources": [resource] })
                .to_string()
                .into()
        };
        Ok(Response::new(Full::new(body)))
    }
}
