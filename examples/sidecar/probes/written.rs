use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::arguments::if_expanded;

/// How long an answer may take, where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The last segments of the paths that a sidecar is asked at.
const NAMES: [(&str, &[&str]); 2] = [
    ("app-health", &["livez", "readyz", "startupz"]),
    ("app-lifecycle", &["prestopz", "poststartz"]),
];

/// Probes by the path at which the sidecar is asked for them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes(Arc<BTreeMap<String, Probe>>);

impl Probes {
    /// The probe of a path.
    pub(crate) fn get(&self, path: &str) -> Option<&Probe> {
        self.0.get(path)
    }
}

/// A probe.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(super) action: Action,
    pub(super) timeout: Duration,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Grpc { port: u16, service: String },
    Http(HttpGet),
    Tcp { port: u16 },
}

/// As Kubernetes has them, with ports that are numbers already. The headers of a probe are sent by the
/// kubelet.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocket>,
    grpc: Option<Grpc>,
    #[serde(default)]
    timeout_seconds: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct HttpGet {
    pub(super) port: u16,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default)]
    pub(super) scheme: String,
}

#[derive(Debug, Deserialize)]
struct TcpSocket {
    port: u16,
}

#[derive(Debug, Deserialize)]
struct Grpc {
    port: u16,
    service: Option<String>,
}

impl FromStr for Probes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Ok(text) = if_expanded(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let written: BTreeMap<String, Written> = serde_json::from_str(&text)
            .map_err(|error| format!("not the JSON of ISTIO_KUBE_APP_PROBERS: {error}"))?;
        let probes = written.into_iter().map(|(path, written)| {
            let probe = written.read();
            let probe = probe.filter(|_| is_path(&path));
            let probe = probe.ok_or_else(|| {
                format!(
                    "`{path}` is no probe: it has one of httpGet, tcpSocket and grpc, and the path \
                     /app-health/CONTAINER/readyz, or livez, or startupz"
                )
            })?;
            Ok((path, probe))
        });
        let probes: Result<_, String> = probes.collect();
        Ok(Self(Arc::new(probes?)))
    }
}

impl Written {
    fn read(self) -> Option<Probe> {
        let action = match (self.http_get, self.tcp_socket, self.grpc) {
            (Some(get), None, None) => Action::Http(get),
            (None, Some(socket), None) => Action::Tcp { port: socket.port },
            (None, None, Some(grpc)) => Action::Grpc {
                port: grpc.port,
                service: grpc.service.unwrap_or_default(),
            },
            _ => return None,
        };
        let timeout = match self.timeout_seconds {
            0 => TIMEOUT,
            seconds => Duration::from_secs(seconds.into()),
        };
        Some(Probe { action, timeout })
    }
}

fn is_path(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    let ["", kind, container, name] = segments[..] else {
        return false;
    };
    let known = |(of, names): &(&str, &[&str])| *of == kind && names.contains(&name);
    !container.is_empty() && NAMES.iter().any(known)
}
