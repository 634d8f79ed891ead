//! An Envoy before a cluster whose endpoints may change.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::fleet::{Fleet, number};
use super::pair::{Member, now};
use crate::envoy::Envoy;

const TYPE: &str = "type.googleapis.com/envoy";

/// Requests that are written before the first answer is read.
const PIPELINED: usize = 50;

const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Judge {
    envoy: Envoy,
    client: RefCell<BufReader<TcpStream>>,
    directory: TempDir,
}

impl Judge {
    /// Starts an Envoy whose cluster has these further settings.
    pub(super) fn start(fleet: &Fleet, members: &[Member], settings: &Value) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = endpoints_file(directory.path());
        write_endpoints(&file, fleet, members);
        let envoy = Envoy::start(&bootstrap(&file, settings));
        let client = TcpStream::connect(envoy.address()).expect("it listens");
        client
            .set_read_timeout(Some(TIMEOUT))
            .expect("it is above zero");
        Self {
            envoy,
            client: RefCell::new(BufReader::new(client)),
            directory,
        }
    }

    /// Replaces the endpoints, and waits until they are.
    pub(super) fn replace(&self, fleet: &Fleet, members: &[Member]) {
        write_endpoints(&endpoints_file(self.directory.path()), fleet, members);
        let until = now() + TIMEOUT;
        while self.hosts().len() != members.len() {
            assert!(now() < until, "Envoy does not look at its endpoints");
        }
    }

    /// The endpoints that so many requests go to, one after the other.
    pub(super) fn picks(&self, count: usize) -> Vec<usize> {
        let mut client = self.client.borrow_mut();
        let mut picks = Vec::with_capacity(count);
        while picks.len() < count {
            let batch = PIPELINED.min(count - picks.len());
            let requests = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n".repeat(batch);
            let written = client.get_mut().write_all(requests.as_bytes());
            written.expect("the connection is open");
            picks.extend((0..batch).map(|_| read_answer(&mut client)));
        }
        picks
    }

    /// Who is ejected.
    pub(super) fn ejected(&self) -> Vec<usize> {
        let hosts = self.hosts().into_iter();
        let ejected = hosts.filter(|host| {
            host.pointer("/health_status/failed_outlier_check") == Some(&json!(true))
        });
        let mut ejected: Vec<usize> = ejected.map(|host| host_number(&host)).collect();
        ejected.sort_unstable();
        ejected
    }

    fn hosts(&self) -> Vec<Value> {
        let clusters = self.envoy.ask("/clusters?format=json");
        let clusters: Value =
            serde_json::from_str(&clusters.expect("it answers")).expect("it answers in JSON");
        let hosts = clusters.pointer("/cluster_statuses/0/host_statuses");
        hosts.and_then(Value::as_array).cloned().unwrap_or_default()
    }
}

fn host_number(host: &Value) -> usize {
    let address = host.pointer("/address/socket_address/address");
    let address = address.and_then(Value::as_str).expect("it has an address");
    number(address.parse().expect("it is an IP address"))
}

/// Reads an answer, whose body is the number of an endpoint.
fn read_answer(client: &mut BufReader<TcpStream>) -> usize {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        client.read_line(&mut line).expect("Envoy answers in time");
        let field = line.trim_end();
        if field.is_empty() {
            break;
        }
        if let Some(written) = field.strip_prefix("content-length: ") {
            length = written.parse().expect("it is a number");
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).expect("the answer is whole");
    let body = String::from_utf8_lossy(&body).into_owned();
    body.parse()
        .unwrap_or_else(|_| panic!("no endpoint answered: {body}"))
}

fn endpoints_file(directory: &Path) -> PathBuf {
    directory.join("endpoints.json")
}

/// Replaces the file: Envoy looks at files that are moved to their place.
fn write_endpoints(file: &Path, fleet: &Fleet, members: &[Member]) {
    let mut localities: Vec<(&Member, Vec<Value>)> = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let address = fleet.address(number);
        let endpoint = json!({
            "endpoint": { "address": { "socket_address": {
                "address": address.ip().to_string(), "port_value": address.port(),
            } } },
            "load_balancing_weight": member.weight,
        });
        let same = |(other, _): &&mut (&Member, _)| other.zone == member.zone;
        match localities.iter_mut().find(same) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => localities.push((member, vec![endpoint])),
        }
    }
    let localities = localities.into_iter().map(|(member, endpoints)| {
        json!({
            "locality": { "region": "eu", "zone": member.zone },
            "load_balancing_weight": member.zone_weight,
            "lb_endpoints": endpoints,
        })
    });
    let assignment = json!({
        "resources": [{
            "@type": format!("{TYPE}.config.endpoint.v3.ClusterLoadAssignment"),
            "cluster_name": "fleet",
            "endpoints": localities.collect::<Vec<_>>(),
        }],
    });
    let new = file.with_extension("new.json");
    fs::write(&new, assignment.to_string()).expect("it can be written");
    fs::rename(new, file).expect("it can be moved");
}

fn bootstrap(endpoints: &Path, settings: &Value) -> Value {
    let port = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let manager = json!({
        "@type": format!(
            "{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "fleet",
        "route_config": { "virtual_hosts": [{
            "name": "fleet", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "fleet" } }],
        }] },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": format!("{TYPE}.extensions.filters.http.router.v3.Router") },
        }],
    });
    let mut cluster = json!({
        "name": "fleet",
        "type": "EDS",
        "eds_cluster_config": { "eds_config": {
            "path_config_source": { "path": endpoints },
            "resource_api_version": "V3",
        } },
        "lb_policy": "ROUND_ROBIN",
    });
    if let (Some(cluster), Some(settings)) = (cluster.as_object_mut(), settings.as_object()) {
        cluster.extend(settings.clone());
    }
    json!({
        "admin": { "address": port },
        "node": { "id": "judge", "cluster": "judge", "locality": { "region": "eu", "zone": "a" } },
        "static_resources": {
            "listeners": [{
                "name": "fleet",
                "address": port,
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }] }],
            }],
            "clusters": [cluster],
        },
    })
}
