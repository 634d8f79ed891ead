//! Injection: from a pod to the pod with its sidecar.

use std::collections::BTreeMap;

use mesh_core::resource::istio::mesh_config::{MeshConfig, ProxyConfig};
use serde_json::{Value, json};

use super::annotation::{self, NATIVE_SIDECAR, PROXY_CONFIG, REWRITE_PROBERS, STATUS, TEMPLATES};
use super::error::InjectError;
use super::owner::Owner;
use super::pod::{List, PROXY, Pod, named, push_env};
use super::template::{Render, Template};
use super::values::Values;
use super::{merge, order, overrides, probe, prometheus, proxy_config, status};

/// The port of the agent where the mesh configuration has none.
const AGENT_PORT: u16 = 15020;

/// Adds sidecars to pods. See the [module docs](super) for an example.
#[derive(Clone, Debug, PartialEq)]
pub struct Injector {
    templates: BTreeMap<String, Template>,
    aliases: BTreeMap<String, Vec<String>>,
    values: Values,
    mesh: MeshConfig,
    revision: String,
    native_sidecars: bool,
    compliance_policy: Option<String>,
}

/// Where a pod is, and what is known of its proxy beside the mesh configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placement<'a> {
    /// Name of the cluster; empty leaves it to the values.
    pub cluster: &'a str,
    /// Network of the pod; empty leaves it to the values and the pod's label.
    pub network: &'a str,
    /// The proxy's configuration by `ProxyConfig` resources; `None` is the mesh's default. The
    /// pod's annotation comes on top.
    pub proxy_config: Option<&'a ProxyConfig>,
}

impl Injector {
    /// An injector with Istio's templates, `sidecar`, `gateway`, `grpc-agent` and `grpc-simple`, and
    /// with `mesh-sidecar`, [`Template::MeshSidecar`].
    pub fn new(values: Values, mesh: MeshConfig) -> Self {
        let templates = [
            ("sidecar", Template::Sidecar),
            ("gateway", Template::Gateway),
            ("grpc-agent", Template::GrpcAgent),
            ("grpc-simple", Template::GrpcSimple),
            ("mesh-sidecar", Template::MeshSidecar),
        ];
        Self {
            templates: templates
                .map(|(name, template)| (name.into(), template))
                .into(),
            aliases: BTreeMap::new(),
            values,
            mesh,
            revision: String::new(),
            native_sidecars: true,
            compliance_policy: None,
        }
    }

    /// Adds a template, or replaces the one of that name.
    #[must_use]
    pub fn with_template(mut self, name: impl Into<String>, template: Template) -> Self {
        self.templates.insert(name.into(), template);
        self
    }

    /// Lets `name` stand for several templates, in this order.
    #[must_use]
    pub fn with_alias(mut self, name: impl Into<String>, templates: Vec<String>) -> Self {
        self.aliases.insert(name.into(), templates);
        self
    }

    /// The revision of the control plane. Default: none, which is called `default`.
    #[must_use]
    pub fn with_revision(self, revision: impl Into<String>) -> Self {
        let revision = revision.into();
        Self { revision, ..self }
    }

    /// Whether the proxy is an init container that keeps running, which Kubernetes supports from
    /// 1.33 on. Pods may say otherwise. Default: yes.
    #[must_use]
    pub fn with_native_sidecars(self, native_sidecars: bool) -> Self {
        Self {
            native_sidecars,
            ..self
        }
    }

    /// What cryptography is restricted to, such as `fips-140-3`. Default: nothing.
    #[must_use]
    pub fn with_compliance_policy(self, policy: impl Into<String>) -> Self {
        let compliance_policy = Some(policy.into());
        Self {
            compliance_policy,
            ..self
        }
    }

    /// The pod with what its templates add.
    ///
    /// Injecting a pod again replaces what the first time added.
    ///
    /// # Errors
    ///
    /// The pod's annotations cannot be meant, it asks for a template that there is not, or for
    /// metrics of the mesh's own ports.
    pub fn inject(
        &self,
        pod: &Pod,
        owner: &Owner,
        placement: Placement<'_>,
    ) -> Result<Pod, InjectError> {
        annotation::validate(pod).map_err(InjectError::Annotations)?;
        let proxy_config = self.proxy_config(pod, placement)?;
        let stripped = overrides::reinsert(status::strip(pod, self.agent_port()))?;
        let render = Render {
            pod: &stripped,
            owner,
            proxy: &proxy_config,
            mesh: &self.mesh,
            values: &self.values,
            revision: &self.revision,
            native: self.is_native(pod),
            compliance: self.compliance_policy.as_deref(),
        };
        let (template, merged) = self.run_templates(pod, &render)?;
        let mut merged = overrides::reapply(merged, pod, &template)?;
        overrides::adjust_user(&mut merged, pod, &proxy_config);
        self.finish(&mut merged, &template, placement)?;
        let holds = proxy_config.hold_application_until_proxy_starts == Some(true)
            || self.values.global.proxy.hold_application_until_proxy_starts;
        order::containers(&mut merged, holds);
        Ok(merged)
    }

    /// All templates of the pod, merged; and laid over the pod.
    fn run_templates(&self, pod: &Pod, render: &Render<'_>) -> Result<(Pod, Pod), InjectError> {
        let mut template = Pod::new(json!({}));
        let mut merged = pod.clone();
        for name in self.selected(pod) {
            let known = || self.templates.keys().cloned().collect();
            let found = self.templates.get(&name);
            let found = found.ok_or_else(|| InjectError::UnknownTemplate {
                name: name.clone(),
                known: known(),
            })?;
            let overlay = found.render(render);
            merge::merge(template.value_mut(), overlay.clone());
            let is_init = template.container(List::InitContainers, PROXY).is_some();
            if self.is_native(pod) && is_init {
                move_proxy(&mut merged);
            }
            merge::merge(merged.value_mut(), overlay);
        }
        Ok((template, merged))
    }

    fn selected(&self, pod: &Pod) -> Vec<String> {
        let named = pod.annotation(TEMPLATES);
        let names: Vec<String> = match named {
            Some(names) => names
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
            None => self
                .values
                .sidecar_injector_webhook
                .default_templates
                .clone(),
        };
        let names = if names.is_empty() {
            vec!["sidecar".to_owned()]
        } else {
            names
        };
        let names = names.into_iter();
        names
            .flat_map(|name| {
                self.aliases
                    .get(&name)
                    .cloned()
                    .unwrap_or_else(|| vec![name])
            })
            .collect()
    }

    /// As in Istio's templates, all that a pod says but `false` asks for it.
    fn is_native(&self, pod: &Pod) -> bool {
        match pod.annotation(NATIVE_SIDECAR) {
            None | Some("") => self.native_sidecars,
            Some(written) => written != "false",
        }
    }

    fn agent_port(&self) -> u16 {
        let config = self.mesh.default_config.as_ref();
        let port = config.and_then(|config| config.status_port);
        port.and_then(|port| port.try_into().ok())
            .unwrap_or(AGENT_PORT)
    }

    /// The configuration of the pod's proxy: the pod's annotation over that of the placement, or of
    /// the mesh.
    fn proxy_config(
        &self,
        pod: &Pod,
        placement: Placement<'_>,
    ) -> Result<ProxyConfig, InjectError> {
        let base = placement.proxy_config.or(self.mesh.default_config.as_ref());
        let base = base.cloned().unwrap_or_default();
        let Some(written) = pod.annotation(PROXY_CONFIG) else {
            return Ok(base);
        };
        proxy_config::overlay(&base, written).map_err(InjectError::ProxyConfig)
    }

    /// What templates cannot say.
    fn finish(
        &self,
        pod: &mut Pod,
        template: &Pod,
        placement: Placement<'_>,
    ) -> Result<(), InjectError> {
        let network = self.tell_place(pod, placement);
        prometheus::merge(pod, &self.mesh, self.agent_port())?;
        prometheus::announce_secure_port(pod);
        let written = pod
            .annotation(REWRITE_PROBERS)
            .and_then(annotation::parse_bool);
        let default = self.values.sidecar_injector_webhook.rewrite_app_http_probe;
        if written.unwrap_or(default) {
            probe::rewrite(pod, self.agent_port());
        }
        if let Some(network) = network {
            pod.set_label("topology.istio.io/network", network);
        }
        pod.set_annotation(STATUS, status::status(template, &self.revision));
        for (name, value) in &self.values.sidecar_injector_webhook.injected_annotations {
            pod.set_annotation(name, value);
        }
        Ok(())
    }

    /// Tells the proxy its cluster and network, if they are known; returns the network.
    fn tell_place(&self, pod: &mut Pod, placement: Placement<'_>) -> Option<String> {
        let global = &self.values.global;
        let first = |names: [&str; 3]| {
            let known = names.into_iter().find(|name| !name.is_empty());
            known.map(String::from)
        };
        let label = pod.label("topology.istio.io/network").unwrap_or_default();
        let network = first([label, placement.network, &global.network]);
        let cluster = first([placement.cluster, &global.multi_cluster.cluster_name, ""]);
        let known = [
            ("ISTIO_META_CLUSTER_ID", &cluster),
            ("ISTIO_META_NETWORK", &network),
        ];
        if let Some(proxy) = pod.find_mut(PROXY) {
            for (name, value) in known {
                if let Some(value) = value {
                    replace_env(proxy, name, value);
                }
            }
        }
        network
    }
}

fn replace_env(container: &mut Value, name: &str, value: &str) {
    if let Some(variables) = container.get_mut("env").and_then(Value::as_array_mut) {
        variables.retain(|variable| !named(variable, name));
    }
    push_env(container, name, value);
}

/// Puts a proxy that the pod adjusts to where the template has it.
fn move_proxy(pod: &mut Pod) {
    if let Some(proxy) = pod.remove_container(List::Containers, PROXY) {
        let mut init = pod.containers(List::InitContainers).to_vec();
        init.push(proxy);
        pod.set_containers(List::InitContainers, init);
    }
}
