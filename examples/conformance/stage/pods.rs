//! Pods: the addresses that configuration gives services, and the sockets that stand for them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_core::model::Model;
use mesh_core::model::cluster::EndpointAddress;
use serde_json::{Value, json};

use super::echo::{self, Log, ServiceName};

/// Pods, each answered by an echo service on loopback.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    resources: Vec<Value>,
    sockets: BTreeMap<IpAddr, SocketAddr>,
}

impl Pods {
    /// Starts a pod with `labels` that answers for `service`.
    pub(crate) async fn start(
        &mut self,
        service: ServiceName,
        labels: &Value,
        log: &Log,
    ) -> io::Result<()> {
        let number = u16::try_from(self.sockets.len()).unwrap_or(u16::MAX);
        let [high, low] = number.to_be_bytes();
        let address = IpAddr::from(Ipv4Addr::new(10, 244, high, low));
        self.resources.push(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("{}-{number}", service.name),
                "namespace": service.namespace,
                "labels": labels,
            },
            "spec": {"containers": [{"name": "app"}]},
            "status": {
                "phase": "Running",
                "podIP": address.to_string(),
                "podIPs": [{"ip": address.to_string()}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }));
        self.sockets
            .insert(address, echo::start(service, log.clone()).await?);
        Ok(())
    }

    /// The pods as resources.
    pub(crate) fn resources(&self) -> &[Value] {
        &self.resources
    }

    /// Puts the sockets in the place of the pods' addresses.
    pub(crate) fn connect(&self, model: &mut Model) {
        for cluster in model.clusters.values_mut() {
            for endpoint in &mut Arc::make_mut(cluster).endpoints {
                if let EndpointAddress::Ip(address) = &mut endpoint.address
                    && let Some(socket) = self.sockets.get(&address.ip())
                {
                    *address = *socket;
                }
            }
        }
    }
}
