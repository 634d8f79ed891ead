//! The names of clusters, as Istio writes them for Envoy.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The cluster that forwards a connection to where the client wanted it to go.
pub const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";

/// The cluster without endpoints, for what may not be reached.
pub const BLACK_HOLE_CLUSTER: &str = "BlackHoleCluster";

/// Which way the traffic of a cluster goes, seen from the workload.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// To the workload itself.
    Inbound,
    /// From the workload to a service.
    Outbound,
}

impl Direction {
    /// The word that cluster names begin with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a cluster, cheap to clone.
///
/// Istio's clusters have names of the form `direction|port|subset|host`
/// (`pilot/pkg/model/service.go`, `BuildSubsetKey`), which the accessors take apart. Any other
/// text, such as [`PASSTHROUGH_CLUSTER`] or the name of a cluster that came by xDS, is a name too,
/// for which the accessors have no answer.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct ClusterName(Arc<str>);

impl ClusterName {
    /// The cluster of a service's port, or of a subset when that is not empty.
    #[must_use]
    pub fn outbound(port: u16, subset: &str, host: &str) -> Self {
        Self(format!("outbound|{port}|{subset}|{host}").into())
    }

    /// The cluster of an extension provider of the mesh, whose service is written `[namespace/]host`.
    /// `None` if there is no such port.
    pub fn of_provider(service: &str, port: u32) -> Option<Self> {
        let host = service.rsplit_once('/').map_or(service, |(_, host)| host);
        let port = u16::try_from(port).ok()?;
        Some(Self::outbound(port, "", host))
    }

    /// The cluster of the workload's own port.
    #[must_use]
    pub fn inbound(port: u16) -> Self {
        Self(format!("inbound|{port}||").into())
    }

    /// The cluster [`PASSTHROUGH_CLUSTER`].
    #[must_use]
    pub fn passthrough() -> Self {
        Self(PASSTHROUGH_CLUSTER.into())
    }

    /// The cluster [`BLACK_HOLE_CLUSTER`].
    #[must_use]
    pub fn black_hole() -> Self {
        Self(BLACK_HOLE_CLUSTER.into())
    }

    /// Reads the form that [`to_sni`](Self::to_sni) writes, or gives `None` for another text.
    #[must_use]
    pub fn from_sni(sni: &str) -> Option<Self> {
        let mut parts = sni.splitn(4, '.');
        let mut labels = parts.by_ref().take(3).map(|part| part.strip_suffix('_'));
        let direction = labels.next()?.filter(|word| is_direction(word))?;
        let port: u16 = labels.next()??.parse().ok()?;
        let subset = labels.next()??;
        let host = parts.next()?;
        Some(Self(format!("{direction}|{port}|{subset}|{host}").into()))
    }

    /// The name as a server name, `outbound_.80_.v1_.host`, by which an AUTO_PASSTHROUGH gateway
    /// finds the cluster (`BuildDNSSrvSubsetKey`).
    ///
    /// `None` when the name is not of Istio's form.
    #[must_use]
    pub fn to_sni(&self) -> Option<String> {
        let [direction, port, subset, host] = self.parts()?;
        Some(format!("{direction}_.{port}_.{subset}_.{host}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which way the traffic goes.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match self.parts()? {
            ["inbound", ..] => Some(Direction::Inbound),
            ["outbound", ..] => Some(Direction::Outbound),
            _ => None,
        }
    }

    /// The port of the service, or of the workload when inbound.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let [_, port, ..] = self.parts()?;
        port.parse().ok()
    }

    /// The subset; `None` for the whole service.
    #[must_use]
    pub fn subset(&self) -> Option<&str> {
        let [_, _, subset, _] = self.parts()?;
        Some(subset).filter(|subset| !subset.is_empty())
    }

    /// The host of the service; `None` when inbound.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let [.., host] = self.parts()?;
        Some(host).filter(|host| !host.is_empty())
    }

    fn parts(&self) -> Option<[&str; 4]> {
        // The parts are too short for a search that looks at several bytes at once.
        fn split(text: &str) -> Option<(&str, &str)> {
            let at = text.bytes().position(|byte| byte == b'|')?;
            Some((&text[..at], &text[at + 1..]))
        }
        let (direction, rest) = split(&self.0)?;
        let (port, rest) = split(rest)?;
        let (subset, host) = split(rest)?;
        let is_whole = is_direction(direction) && split(host).is_none();
        is_whole.then_some([direction, port, subset, host])
    }
}

fn is_direction(word: &str) -> bool {
    matches!(word, "inbound" | "outbound")
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ClusterName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for ClusterName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_of_istio_s_form_comes_apart() {
        let name = ClusterName::outbound(80, "", "a.example");
        assert_eq!(name.direction(), Some(Direction::Outbound));
        assert_eq!(name.port(), Some(80));
        assert_eq!(name.subset(), None);
        assert_eq!(name.host(), Some("a.example"));
        assert_eq!(name.to_sni().unwrap(), "outbound_.80_._.a.example");

        let name = ClusterName::inbound(8080);
        assert_eq!(name.as_str(), "inbound|8080||");
        assert_eq!(name.direction(), Some(Direction::Inbound));
        assert_eq!(name.host(), None);
    }

    #[test]
    fn another_name_stays_whole() {
        let names = [
            "",
            "|||",
            "PassthroughCluster",
            "outbound|80|a",
            "outbound|80|a||b",
            "x|1||a",
        ];
        for name in names {
            let name = ClusterName::from(name);
            assert_eq!(name.direction(), None, "{name}");
            assert_eq!(name.port(), None, "{name}");
            assert_eq!(name.host(), None, "{name}");
            assert_eq!(name.to_sni(), None, "{name}");
        }
    }

    #[test]
    fn a_server_name_of_another_form_is_no_cluster() {
        let names = [
            "",
            "a.example",
            "outbound_.80_.a",
            "outbound_.x_._.a",
            "outbound_.80._.a",
        ];
        for name in names {
            assert_eq!(ClusterName::from_sni(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn server_names_round_trip(port: u16, subset in "[a-z0-9-]{0,8}", host in "[a-z.]{1,20}") {
            let name = ClusterName::outbound(port, &subset, &host);
            prop_assert_eq!(ClusterName::from_sni(&name.to_sni().unwrap()), Some(name.clone()));
            prop_assert_eq!(ClusterName::from(name.to_string()), name);
        }
    }
}
