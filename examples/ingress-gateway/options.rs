use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use examples::gateway::Settings;
use examples::help;
use examples::program::Files;
use examples::program::arguments::{Serving, label, locality};
use mesh_core::config::features::Features;
use mesh_core::workload::Workload;
use mesh_policy::telemetry::access_log::ChannelSink;

/// Serve the Gateways, VirtualServices and HTTPRoutes of files.
#[derive(Debug, Parser)]
#[command(
    name = "ingress-gateway",
    after_help = help::after(
        &["cargo run --release --example ingress-gateway -- --config examples/config --bind 127.0.0.1 --map-port 80=8080"],
        "It says where each port is served, and serves until it is told to end. HTTP is served in versions 1.1\n\
         and 2; of offers to upgrade a connection those of WebSocket are passed on, as by Istio, and a request\n\
         that offers another is answered with 403.",
    )
)]
pub(crate) struct Options {
    /// Files, or directories of .yaml, .yml and .json files. They are watched. A change takes effect
    /// at once; until host names that are new in it are resolved, their clusters have the endpoints of
    /// before, or answer 503 if they had none.
    #[arg(long, required = true, num_args = 1..)]
    config: Vec<PathBuf>,
    /// Namespace of the gateway.
    #[arg(long, default_value = "istio-system")]
    namespace: String,
    /// Labels of the gateway, by which Gateways select it.
    #[arg(long, value_delimiter = ',', value_parser = label, default_value = "istio=ingressgateway")]
    labels: Vec<(String, String)>,
    /// Serve Gateways of the own namespace only: istiod's PILOT_SCOPE_GATEWAY_TO_NAMESPACE.
    #[arg(long)]
    scope_gateway_to_namespace: bool,
    /// Where the gateway is, REGION/ZONE/SUBZONE, so that endpoints nearby come first. Default: what its
    /// labels say.
    #[arg(long, value_parser = locality, default_value = "")]
    locality: String,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    bind: IpAddr,
    /// Listen on another port than a Gateway declares: DECLARED=BOUND. May be repeated.
    #[arg(long, value_parser = ports, num_args = 1..)]
    map_port: Vec<(u16, u16)>,
    #[command(flatten)]
    pub(crate) serving: Serving,
    /// Directory with the gateway's identity in the mesh: cert-chain.pem, key.pem, root-cert.pem. It
    /// is watched. Without it, nothing that demands an identity is served or connected to.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) identity: Option<PathBuf>,
    /// Where the state of the gateway can be asked for: /healthz/ready, /config, /fidelity,
    /// /explain, /stats/prometheus. What /explain is about is said in its query: scheme, host, port,
    /// path, method and header of a request; peer, the caller's SPIFFE ID; certificate, whether it has one
    /// without; and claims of its token.
    #[arg(long, default_value = "127.0.0.1:15000")]
    pub(crate) admin: SocketAddr,
    /// Seconds that connections have to end after SIGTERM.
    #[arg(long, default_value_t = 45)]
    drain: u64,
}

impl Options {
    pub(crate) fn files(&self) -> Files {
        let gateway = Workload::gateway(&self.namespace);
        let labels = self.labels.iter();
        let gateway = labels.fold(gateway, |gateway, (key, value)| {
            gateway.with_label(key, value)
        });
        Files {
            paths: self.config.clone(),
            workload: Workload {
                locality: self.locality.clone(),
                ..gateway
            },
            features: Features {
                scope_gateway_to_namespace: self.scope_gateway_to_namespace,
                ..Features::default()
            },
        }
    }

    pub(crate) fn settings(&self, access_log: ChannelSink) -> Settings {
        Settings {
            bind: self.bind,
            ports: self.map_port.iter().copied().collect(),
            ..self.serving.settings(access_log)
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("`{text}` is not of the form DECLARED=BOUND, two port numbers");
    let (declared, bound) = text.split_once('=').ok_or_else(wrong)?;
    let declared = declared.parse().map_err(|_| wrong())?;
    let bound = bound.parse().map_err(|_| wrong())?;
    Ok((declared, bound))
}
