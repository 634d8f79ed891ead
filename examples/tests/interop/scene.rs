//! A configuration served by both.

use examples::config::Loaded;
use examples::gateway::{Gateway, MeshWide, Settings};
use fastrand::Rng;
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use serde_json::Value;

use crate::backend::Backends;
use crate::envoy::{Envoy, Filters, bootstrap};
use crate::exchange::{self, Answer};
use crate::generate::{self, SERVICES};

/// Our gateway and an Envoy, before the same services.
pub(crate) struct Scene {
    gateway: Gateway,
    envoy: Envoy,
    _backends: Option<Backends>,
}

impl Scene {
    /// Generated routes, before services that are started for them.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let backends = Backends::start(SERVICES);
        let resources = generate::configuration(rng, backends.addresses());
        let scene = Self::of(&resources, |_| Filters::default());
        Self {
            _backends: Some(backends),
            ..scene
        }
    }

    /// What `resources` say; Envoy gets `filters` beside those of routes.
    pub(crate) fn of(resources: &[Value], filters: impl FnOnce(&Model) -> Filters) -> Self {
        let (model, wide) = resolved(resources);
        let mut settings = Settings {
            bind: [127, 0, 0, 1].into(),
            ..Settings::default()
        };
        settings.ports.insert(80, 0);
        let mut gateway = Gateway::start(settings).expect("a thread can be started");
        let published = gateway.publish_in(&model, &wide);
        let warnings = published.expect("the model is served");
        assert!(warnings.is_empty(), "{warnings:?}");
        Self {
            gateway,
            envoy: Envoy::start(&bootstrap(&model, &filters(&model))),
            _backends: None,
        }
    }

    /// Our answer and Envoy's. Connections that are closed without one are answered by nothing.
    pub(crate) fn send(&self, request: &str) -> (Answer, Answer) {
        let ours = self.gateway.address(80).expect("port 80 is served");
        let send = |address| exchange::send(address, request.as_bytes()).unwrap_or_default();
        (send(ours), send(self.envoy.address()))
    }
}

/// The model of an ingress gateway. What is generated is valid, and wholly in effect.
fn resolved(resources: &[Value]) -> (Model, MeshWide) {
    let mut loaded = Loaded::default();
    for (index, resource) in resources.iter().enumerate() {
        loaded.add(&format!("{index}.json"), format!("{resource:#}"));
    }
    let built = loaded.build(MeshConfig::builder(), 1);
    let (config, _) = built.unwrap_or_else(|found| panic!("not valid: {found}"));
    let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    let model = resolve(&config, &workload);
    let left_out = model.notices.iter();
    let left_out: Vec<_> = left_out
        .filter(|notice| notice.message.contains("left out"))
        .collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    (model, MeshWide::of(&config))
}
