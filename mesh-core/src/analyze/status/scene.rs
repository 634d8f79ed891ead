//! The Gateways of the controller, with all that listens for them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::analyze::status::condition::About;
use crate::analyze::status::mesh::{self, ByName};
use crate::analyze::status::options::StatusOptions;
use crate::config::MeshConfig;
use crate::resolve::gateway_api::class;
use crate::resolve::gateway_api::listeners::GatewayListeners;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::gateway_api::parent_reference::ParentReference;
use crate::resource::kind::Kind;
use crate::resource::{Resource, Value};

/// Kind, namespace and name of what routes are attached to.
type Parent<'a> = (Kind, &'a str, &'a str);

/// What all statuses are made from.
pub(super) struct Scene<'a> {
    /// The configuration.
    pub(super) config: &'a MeshConfig,
    /// Who writes, and when.
    pub(super) options: &'a StatusOptions,
    /// The Gateways of the controller, the oldest first.
    pub(super) gateways: Vec<OwnGateway<'a>>,
    /// Services that routes can be attached to.
    pub(super) services: ByName<'a>,
    // Index of the Gateway of a Gateway or a ListenerSet.
    by_parent: HashMap<Parent<'a>, usize>,
}

/// A Gateway of the controller.
pub(super) struct OwnGateway<'a> {
    /// The Gateway.
    pub(super) resource: &'a Arc<Resource<Gateway>>,
    /// What listens for it.
    pub(super) listeners: GatewayListeners<'a>,
    /// How many routes are attached to each listener.
    pub(super) attached: Vec<u32>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(config: &'a MeshConfig, options: &'a StatusOptions) -> Self {
        let all = config.resources().gateway_api.gateways.iter();
        let own = all.filter(|gateway| {
            let class = &gateway.spec.gateway_class_name;
            class::controller(config, class) == Some(options.controller.as_str())
        });
        let mut by_parent = HashMap::new();
        let mut gateways = Vec::new();
        for (index, resource) in own.enumerate() {
            let listeners = GatewayListeners::of(config, resource);
            let metadata = &resource.metadata;
            let name = (&*metadata.namespace, &*metadata.name);
            by_parent.insert((Kind::KubernetesGateway, name.0, name.1), index);
            for set in &listeners.sets {
                let metadata = &set.metadata;
                let name = (&*metadata.namespace, &*metadata.name);
                by_parent.insert((Kind::ListenerSet, name.0, name.1), index);
            }
            gateways.push(OwnGateway {
                resource,
                attached: vec![0; listeners.all.len()],
                listeners,
            });
        }
        Self {
            config,
            options,
            gateways,
            services: mesh::by_name(config),
            by_parent,
        }
    }

    /// Index of the Gateway that a reference of an object of `namespace` leads to, by itself or by
    /// a ListenerSet.
    pub(super) fn gateway_of(&self, parent: &ParentReference, namespace: &str) -> Option<usize> {
        let kind = match parent.group_kind() {
            (GROUP, "Gateway") => Kind::KubernetesGateway,
            (GROUP, "ListenerSet") => Kind::ListenerSet,
            _ => return None,
        };
        let namespace = parent.namespace.as_deref().unwrap_or(namespace);
        let key = (kind, namespace, &*parent.name);
        self.by_parent.get(&key).copied()
    }

    /// The Gateway `namespace`/`name`, if it is the controller's.
    pub(super) fn gateway(&self, namespace: &str, name: &str) -> Option<&OwnGateway<'a>> {
        let key = (Kind::KubernetesGateway, namespace, name);
        self.gateways.get(*self.by_parent.get(&key)?)
    }

    /// What the conditions of a resource share, of a part of it that had `existing` before.
    pub(super) fn about<'v, S>(
        &self,
        resource: &Resource<S>,
        existing: Option<&'v Value>,
    ) -> About<'v> {
        About {
            generation: resource.metadata.generation,
            existing,
            now: self.options.now,
        }
    }
}
