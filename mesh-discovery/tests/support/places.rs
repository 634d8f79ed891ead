//! Where endpoints and their client are, and how that counts.

use fastrand::Rng;
use mesh_core::model::cluster::LocalityBalancing;
use mesh_discovery::locality::{Client, Locality};

/// Where endpoints are, in turn; the client is at the first.
const PLACES: [&str; 3] = ["eu/a/1", "eu/b/1", "us/a/1"];

/// How the places of endpoints count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Places {
    /// Not at all.
    Alike,
    /// Near ones come first.
    Near,
    /// Each place has a share.
    Weighted,
    /// By zone, in proportion to the replicas of the client.
    Zones,
}

impl Places {
    pub(crate) const ALL: [Self; 4] = [Self::Alike, Self::Near, Self::Weighted, Self::Zones];

    pub(crate) fn balancing(self) -> LocalityBalancing {
        let setting = match self {
            Self::Alike => return LocalityBalancing::Off,
            Self::Zones => {
                let setting = serde_json::from_str(r#"{"minClusterSize": 2}"#).unwrap();
                return LocalityBalancing::ZoneAware(setting);
            }
            Self::Near => "{}",
            Self::Weighted => {
                r#"{"distribute": [{"from": "*", "to": {"eu/a": 40, "eu/b": 30, "us": 30}}]}"#
            }
        };
        LocalityBalancing::Locality {
            setting: serde_json::from_str(setting).unwrap(),
            force: true,
        }
    }

    /// Whether endpoints that are healthy may be held in reserve.
    pub(crate) fn reserves(self) -> bool {
        matches!(self, Self::Near | Self::Zones)
    }
}

/// A client at the first place, with replicas at some.
pub(crate) fn client(random: &mut Rng) -> Client {
    let replicas = random.usize(..6);
    let replicas = (0..replicas).map(|_| Locality::from(PLACES[random.usize(..PLACES.len())]));
    Client {
        locality: PLACES[0].into(),
        replicas: replicas.collect(),
        ..Client::default()
    }
}

/// The place of the endpoint at a port.
pub(crate) fn place(port: u16) -> &'static str {
    PLACES[usize::from(port) % PLACES.len()]
}
