use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::sync::Arc;

use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, Discovery, EndpointAddress, UpstreamTls};
use mesh_core::service::ClusterName;
use mesh_discovery::cluster::Clusters;
use mesh_discovery::locality::Client;
use mesh_discovery::source::dns::{RefreshSettings, Resolve};
use tokio::time::Instant;

use super::dynamic::Dynamic;
use super::mesh_wide::MeshWide;
use super::names::{self, Names, Nobody};
use super::tls::Originations;
use super::upstream::Upstreams;

/// The clusters of a workload, with what is known of their endpoints from one generation to the next:
/// addresses, ejections, turns.
#[derive(Debug)]
pub(super) struct Balancing {
    // The thread that resolves names is not needed before there are clusters.
    names: Option<Names>,
    dynamic: Dynamic,
}

impl Balancing {
    /// No clusters yet.
    pub(super) fn new() -> Self {
        Self {
            names: None,
            dynamic: Dynamic::new(),
        }
    }

    /// Takes the clusters of a model; the generation that they are for has them as they are now.
    /// Says what in them is not followed.
    pub(super) fn publish(
        &mut self,
        model: &Model,
        wide: &MeshWide,
        tls: &Originations,
    ) -> io::Result<(Upstreams, Vec<String>)> {
        let (clusters, mut warnings) = reachable(&model.clusters, tls);
        let (client, refresh) = (Client::from(model), refresh(wide));
        let names = match &mut self.names {
            Some(names) => {
                names.renew(refresh);
                names
            }
            none => {
                let live = Clusters::with_seed(client.clone(), fastrand::u64(..));
                none.insert(Names::new(live, refresh, resolver(&mut warnings))?)
            }
        };
        let ((snapshot, notices), without) = names.publish(clusters, |live, clusters| {
            let now = Instant::now().into_std();
            live.set_client(&client, now);
            let notices = live.publish(clusters, now);
            (live.snapshot(), notices)
        });
        warnings.extend(notices.iter().map(ToString::to_string));
        warnings.extend(without);
        let upstreams = Upstreams::new(snapshot, tls.clone());
        Ok((upstreams.with_dynamic(self.dynamic.clone()), warnings))
    }
}

/// Whom the system says to ask.
fn resolver(warnings: &mut Vec<String>) -> Arc<dyn Resolve> {
    match names::system() {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            warnings.push(format!("no name of a host can be resolved: {error}: {why}"));
            Arc::new(Nobody)
        }
    }
}

fn refresh(wide: &MeshWide) -> RefreshSettings {
    let written = wide.options.as_written().dns_refresh_rate;
    let mut settings = RefreshSettings::default();
    if let Some(refresh) = written.and_then(|written| written.as_std()) {
        settings.refresh = refresh;
    }
    settings
}

/// The clusters without the endpoints that cannot be reached: names that are not resolved, and those
/// that demand TLS which cannot be spoken. What has no endpoint is answered with `503`, never sent in
/// plaintext.
fn reachable(
    clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
    tls: &Originations,
) -> (BTreeMap<ClusterName, Arc<Cluster>>, Vec<String>) {
    let mut warnings = Vec::new();
    let clusters = clusters.iter().map(|(name, cluster)| {
        let has_tls = tls.get(name).is_some();
        let mut kept = Cluster::clone(cluster);
        kept.endpoints.retain(|endpoint| {
            let is_plain = match cluster.tls {
                UpstreamTls::Plaintext => true,
                UpstreamTls::Auto(_) => !endpoint.mesh_tls,
                UpstreamTls::Mesh(_) | UpstreamTls::Settings(_) => false,
            };
            let is_socket = match endpoint.address {
                EndpointAddress::Ip(_) | EndpointAddress::Unix(_) => true,
                EndpointAddress::Dns { .. } => {
                    matches!(
                        cluster.discovery,
                        Discovery::StrictDns | Discovery::LogicalDns
                    )
                }
            };
            (is_plain || has_tls) && is_socket
        });
        if kept.endpoints.is_empty() && !cluster.endpoints.is_empty() {
            let origin = &cluster.origin;
            warnings.push(format!(
                "no endpoint of `{name}` can be used: each demands TLS, or is a name that is not \
                 resolved [{origin}]"
            ));
        }
        (name.clone(), Arc::new(kept))
    });
    let clusters = clusters.collect();
    (clusters, warnings)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::config::options::MeshOptions;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mesh_says_how_often_names_are_looked_up() {
        let default = RefreshSettings::default().refresh;
        for (settings, expected) in [
            (json!({}), default),
            (json!({"dnsRefreshRate": "7s"}), Duration::from_secs(7)),
        ] {
            let wide = MeshWide {
                options: MeshOptions::new(serde_json::from_value(settings).unwrap()),
                ..MeshWide::default()
            };
            assert_eq!(refresh(&wide).refresh, expected);
        }
    }
}
