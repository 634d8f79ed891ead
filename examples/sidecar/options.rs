use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use examples::gateway::{Capture, Settings};
use examples::program::Files;
use examples::program::arguments::{Serving, label, locality};
use examples::program::identity::CertificateAuthority;
use http::Uri;
use mesh_core::config::features::Features;
use mesh_core::identity::TrustDomain;
use mesh_core::model::listener::Direction;
use mesh_core::workload::Workload;
use mesh_policy::telemetry::access_log::ChannelSink;

use crate::arguments::{capture, if_expanded, labels_of_pod};
use crate::probes::Probes;

/// Serve the connections to and from an application, as the sidecar of its pod.
#[derive(Debug, Parser)]
#[command(name = "sidecar")]
pub(crate) struct Options {
    /// Files, or directories of .yaml, .yml and .json files. They are watched.
    #[arg(long, required_unless_present_any = ["check", "wait"], num_args = 1..)]
    config: Vec<PathBuf>,
    /// Name of the workload, for people.
    #[arg(long, default_value = "")]
    name: String,
    /// Namespace of the workload.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Labels of the workload, KEY=VALUE, by which services and policies select it.
    #[arg(long, value_delimiter = ',', value_parser = label)]
    labels: Vec<(String, String)>,
    /// File of further labels, KEY="VALUE" a line, as Kubernetes writes those of a pod.
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// Service account of the workload.
    #[arg(long, default_value = "default")]
    service_account: String,
    /// Addresses of the workload.
    #[arg(long, value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// Where the workload is, REGION/ZONE/SUBZONE, so that endpoints nearby come first. Default: where the
    /// node of the pod with its address is, or else what its labels say.
    #[arg(long, value_parser = locality, default_value = "")]
    locality: String,
    /// Network of the workload.
    #[arg(long, default_value = "", value_parser = if_expanded)]
    network: String,
    /// Suffix of the names of services.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// Trust domain of the identity that --ca is asked for; that of the configuration by default.
    #[arg(long)]
    trust_domain: Option<TrustDomain>,
    /// How connections reach the sidecar: redirected by iptables or a plugin, or not at all, but for
    /// those of --capture.
    #[arg(long, value_enum, default_value = "REDIRECT")]
    interception_mode: InterceptionMode,
    /// Where connections to the workload are redirected to: 0.0.0.0:15006 by default, unless there is
    /// a --capture.
    #[arg(long, value_delimiter = ',')]
    inbound: Vec<SocketAddr>,
    /// Where connections that the workload makes are redirected to: 127.0.0.1:15001 by default,
    /// unless there is a --capture.
    #[arg(long, value_delimiter = ',')]
    outbound: Vec<SocketAddr>,
    /// Serve at an address what is meant for another, DIRECTION:DESTINATION=BIND, such as
    /// outbound:10.0.0.7:9080=127.0.0.1:9080, without that anything is redirected. May be repeated.
    #[arg(long, value_parser = capture)]
    capture: Vec<Capture>,
    /// Directory with the workload's identity in the mesh: cert-chain.pem, key.pem, root-cert.pem. It
    /// is watched. Without it and --ca, nothing that demands an identity is served or connected to.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "ca")]
    identity: Option<PathBuf>,
    /// Authority that issues the workload's identity by Istio's certificate service,
    /// https://HOST:PORT.
    #[arg(long, value_name = "URL", requires_all = ["ca_root", "token"])]
    ca: Option<Uri>,
    /// File with the roots by which the authority is verified.
    #[arg(long, value_name = "FILE")]
    ca_root: Option<PathBuf>,
    /// File with the token that proves to the authority who the workload is.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) serving: Serving,
    /// Where the state of the sidecar can be asked for: /healthz/ready, /config, /fidelity,
    /// /explain, /stats/prometheus. What /explain is about is said in its query: scheme, host, port,
    /// path, method and header of a request; peer, the caller's SPIFFE ID; and claims of its token.
    #[arg(long, default_value = "127.0.0.1:15000")]
    pub(crate) admin: SocketAddr,
    /// Ports where the cluster asks: /healthz/ready, /stats/prometheus, and the paths of --probes.
    #[arg(long, value_delimiter = ',', default_values_t = [15020, 15021])]
    pub(crate) status_port: Vec<u16>,
    /// Probes of the application that are asked for at a path of the sidecar, as Istio's injector
    /// writes them: JSON, {"/app-health/CONTAINER/readyz": {"httpGet": {"path": …, "port": …}}}.
    #[arg(long, value_name = "JSON", default_value = "")]
    pub(crate) probes: Probes,
    /// End TLS as `ingress` of the Sidecar says, where that of the mesh is off: istiod's
    /// ENABLE_TLS_ON_SIDECAR_INGRESS.
    #[arg(long)]
    tls_on_sidecar_ingress: bool,
    /// Address at which the application is probed; the first one of --addresses by default.
    #[arg(long)]
    probe_address: Option<IpAddr>,
    /// Seconds that connections have to end after SIGTERM.
    #[arg(long, default_value_t = 45)]
    drain: u64,
    /// Wait until the sidecar that answers at --status-port of this machine is ready, and exit: for
    /// applications that are to start after it.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Let two sidecars serve each other, check what they do, and exit.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Who redirects connections to the sidecar.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum InterceptionMode {
    /// iptables or a plugin.
    Redirect,
    /// Nobody.
    None,
}

impl Options {
    /// What is read, and for whom.
    pub(crate) fn files(&self) -> Result<Files, Box<dyn Error>> {
        let file = self.labels_file.as_deref().map(read_labels).transpose()?;
        let labels = self.labels.iter().cloned().chain(file.unwrap_or_default());
        let workload = labels.fold(
            Workload::sidecar(&self.namespace),
            |workload, (key, value)| workload.with_label(key, value),
        );
        Ok(Files {
            paths: self.config.clone(),
            workload: Workload {
                name: self.name.clone(),
                addresses: self.addresses.clone(),
                service_account: self.service_account.clone(),
                locality: self.locality.clone(),
                network: self.network.clone(),
                domain: self.domain.clone(),
                ..workload
            },
            features: Features {
                tls_on_sidecar_ingress: self.tls_on_sidecar_ingress,
                ..Features::default()
            },
        })
    }

    pub(crate) fn settings(&self, access_log: ChannelSink) -> Settings {
        Settings {
            captures: self.captures(),
            ..self.serving.settings(access_log)
        }
    }

    /// What is captured: first what is redirected, then what is not.
    fn captures(&self) -> Vec<Capture> {
        let is_default = self.capture.is_empty();
        let written = |written: &[SocketAddr], default: SocketAddr| match written {
            [] if is_default => vec![default],
            written => written.to_vec(),
        };
        let (any, loopback) = self.own_addresses();
        let sockets = [
            (
                Direction::Inbound,
                written(&self.inbound, (any, 15006).into()),
            ),
            (
                Direction::Outbound,
                written(&self.outbound, (loopback, 15001).into()),
            ),
        ];
        let is_redirected = self.interception_mode == InterceptionMode::Redirect;
        let sockets = sockets.into_iter().filter(|_| is_redirected);
        let redirected = sockets.flat_map(|(direction, sockets)| {
            let sockets = sockets.into_iter();
            sockets.map(move |socket| Capture::redirected(direction, socket))
        });
        redirected.chain(self.capture.iter().cloned()).collect()
    }

    /// All addresses of the workload's family, and the one that it has for itself.
    fn own_addresses(&self) -> (IpAddr, IpAddr) {
        match self.addresses.first() {
            Some(IpAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
            Some(IpAddr::V4(_)) | None => {
                (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into())
            }
        }
    }

    /// Where the cluster asks.
    pub(crate) fn status_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let (any, _) = self.own_addresses();
        let ports = self.status_port.iter();
        ports.map(move |port| SocketAddr::new(any, *port))
    }

    /// Where a sidecar is asked whether it is ready.
    pub(crate) fn first_status_port(&self) -> u16 {
        self.status_port.first().copied().unwrap_or_default()
    }

    /// Where the application is probed.
    pub(crate) fn probe_address(&self) -> IpAddr {
        let first = || self.addresses.first().copied();
        let known = self.probe_address.or_else(first);
        known.unwrap_or_else(|| self.own_addresses().1)
    }

    /// Whether connections to the application, which are not from the sidecar, come back to it.
    pub(crate) fn are_callers_redirected(&self) -> bool {
        let captures = self.captures();
        captures
            .iter()
            .any(|capture| capture.direction == Direction::Inbound && capture.is_redirected())
    }

    /// Where the identity comes from, if there is to be one.
    pub(crate) fn identity(&self) -> Option<Identity> {
        if let Some(directory) = self.identity.clone() {
            return Some(Identity::Directory(directory));
        }
        Some(Identity::Authority(CertificateAuthority {
            url: self.ca.clone()?,
            roots: self.ca_root.clone()?,
            token: self.token.clone()?,
        }))
    }

    /// The trust domain of the identity, and whether that of the configuration is another one.
    pub(crate) fn trust_domain(&self, configured: &TrustDomain) -> (TrustDomain, bool) {
        let own = self.trust_domain.as_ref().unwrap_or(configured);
        (own.clone(), own != configured)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }
}

/// Where an identity comes from.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Directory(PathBuf),
    Authority(CertificateAuthority),
}

fn read_labels(file: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| format!("the labels `{}`: {error}", file.display()))?;
    Ok(labels_of_pod(&text)?)
}
