//! Metrics of the application, merged into those of the proxy.
//!
//! The annotations `prometheus.io/*` of a pod are taken from Prometheus and given to the agent, in
//! the environment variable `ISTIO_PROMETHEUS_ANNOTATIONS`; Prometheus is sent to the agent, which
//! answers with the metrics of both.

use mesh_core::resource::istio::mesh_config::MeshConfig;
use serde_json::{Value, json};

use super::annotation::{PROMETHEUS_MERGE, parse_bool};
use super::error::InjectError;
use super::pod::{PROXY, Pod, push_env};

const ANNOTATIONS: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";
const SECURE_PORT: &str = "ENVOY_SECURE_MERGED_METRICS_PORT";

/// Annotations as Prometheus sees them: whatever is no letter or digit becomes `_`.
const PORT: &str = "prometheus_io_port";
const PATH: &str = "prometheus_io_path";
const SCRAPE: &str = "prometheus_io_scrape";
const TARGETS: &str = "prometheus_istio_io_scrape_targets";
const OUR_SECURE_PORT: &str = "prometheus_istio_io_secure_port";

/// Ports of the mesh itself, which the agent must not scrape.
const RESERVED: [(u16, &str); 9] = [
    (15000, "it is Envoy's administration"),
    (15001, "it captures outbound traffic"),
    (15004, "it is istiod's debugging"),
    (15006, "it captures inbound traffic"),
    (15008, "it is the HBONE tunnel"),
    (15020, "it is the agent"),
    (15021, "it is Envoy's health"),
    (15053, "it is the DNS proxy"),
    (15090, "it is Envoy's own metrics"),
];

/// Lets the agent answer for the application, where nothing says otherwise.
pub(super) fn merge(pod: &mut Pod, mesh: &MeshConfig, agent_port: u16) -> Result<(), InjectError> {
    let scrape = value(pod, SCRAPE).and_then(parse_bool).unwrap_or(true);
    if !scrape || !is_enabled(pod, mesh) {
        return Ok(());
    }
    let agent = agent_port.to_string();
    if value(pod, PORT) == Some(&agent) {
        return Ok(());
    }
    if let Some(told) = scrape_configuration(pod, agent_port)?
        && let Some(proxy) = pod.find_mut(PROXY)
    {
        push_env(proxy, ANNOTATIONS, told.to_string());
    }
    clear(pod);
    pod.set_annotation("prometheus.io/port", agent);
    pod.set_annotation("prometheus.io/path", "/stats/prometheus");
    pod.set_annotation("prometheus.io/scrape", "true");
    Ok(())
}

/// Announces the port at which the proxy serves the merged metrics over mTLS, if it has one.
pub(super) fn announce_secure_port(pod: &mut Pod) {
    if value(pod, OUR_SECURE_PORT).is_some() {
        return;
    }
    let variables = pod
        .find(PROXY)
        .and_then(|proxy| proxy.get("env")?.as_array());
    let port = variables.into_iter().flatten().find_map(|variable| {
        let is_port = variable.get("name")?.as_str()? == SECURE_PORT;
        let value = variable.get("value")?.as_str()?;
        (is_port && !matches!(value, "" | "0")).then(|| value.to_owned())
    });
    if let Some(port) = port {
        pod.set_annotation("prometheus.istio.io/secure-port", port);
    }
}

/// Takes back what an earlier injection announced.
pub(super) fn clear_own(pod: &mut Pod, agent_port: u16) {
    if value(pod, PORT) == Some(&agent_port.to_string()) {
        clear(pod);
    }
}

fn clear(pod: &mut Pod) {
    pod.remove_annotations(|name| {
        matches!(sanitized(name).as_str(), PORT | PATH | SCRAPE | TARGETS)
    });
}

fn is_enabled(pod: &Pod, mesh: &MeshConfig) -> bool {
    let own = pod.annotation(PROMETHEUS_MERGE).and_then(parse_bool);
    own.or(mesh.enable_prometheus_merge).unwrap_or(true)
}

/// The value of the annotation that Prometheus sees as `name`, however it is spelt.
fn value<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.annotations()
        .find_map(|(own, value)| (sanitized(own) == name).then_some(value))
}

fn sanitized(name: &str) -> String {
    name.replace(|byte: char| !byte.is_ascii_alphanumeric(), "_")
}

/// What the agent is told, `None` if the pod says nothing.
fn scrape_configuration(pod: &Pod, agent_port: u16) -> Result<Option<Value>, InjectError> {
    let [scrape, path, port] =
        [SCRAPE, PATH, PORT].map(|name| value(pod, name).unwrap_or_default());
    let targets = value(pod, TARGETS).map(targets).unwrap_or_default();
    let ports = targets.iter().map(|(port, _)| *port);
    let legacy = (targets.is_empty() && !port.is_empty()).then_some(port);
    for port in ports.chain(legacy) {
        check(port, agent_port)?;
    }
    let (port, path) = targets.first().copied().unwrap_or((port, path));
    if [scrape, path, port].iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    let mut told = json!({"scrape": scrape, "path": path, "port": port});
    if !targets.is_empty() {
        let targets = targets
            .iter()
            .map(|(port, path)| json!({"port": port, "path": path}));
        told["targets"] = targets.collect();
    }
    Ok(Some(told))
}

/// `port:path` pairs; none if one has no port. An absent path is `/metrics` (`ParseScrapeTargets`).
fn targets(text: &str) -> Vec<(&str, &str)> {
    let written = text.split(',').map(str::trim);
    let pairs: Option<Vec<_>> = written
        .filter(|target| !target.is_empty())
        .map(|target| {
            let (port, path) = target.split_once(':').unwrap_or((target, ""));
            let (port, path) = (port.trim(), path.trim());
            let path = if path.is_empty() { "/metrics" } else { path };
            (!port.is_empty()).then_some((port, path))
        })
        .collect();
    pairs.unwrap_or_default()
}

fn check(port: &str, agent_port: u16) -> Result<(), InjectError> {
    let refuse = |why| {
        let port = port.to_owned();
        Err(InjectError::Prometheus { port, why })
    };
    match port.parse::<u16>() {
        Err(_) | Ok(0) => refuse("it is no port"),
        Ok(number) if number == agent_port => refuse("it is the agent"),
        Ok(number) => match RESERVED.iter().find(|(own, _)| *own == number) {
            Some((_, why)) => refuse(why),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &Value) -> Pod {
        Pod::new(json!({
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "istio-proxy"}]},
        }))
    }

    #[test]
    fn prometheus_is_sent_to_the_agent_and_the_agent_to_the_application() {
        let mut pod = pod(&json!({"prometheus.io/port": "80", "prometheus.io.path": "/m"}));
        merge(&mut pod, &MeshConfig::default(), 15020).unwrap();
        let annotations: Vec<_> = pod.annotations().collect();
        assert_eq!(
            annotations,
            [
                ("prometheus.io/path", "/stats/prometheus"),
                ("prometheus.io/port", "15020"),
                ("prometheus.io/scrape", "true"),
            ]
        );
        let told = pod.find(PROXY).unwrap()["env"][0]["value"]
            .as_str()
            .unwrap();
        let told: Value = serde_json::from_str(told).unwrap();
        assert_eq!(told, json!({"scrape": "", "path": "/m", "port": "80"}));
    }

    #[test]
    fn a_pod_can_keep_its_metrics_to_itself() {
        for annotations in [
            json!({"prometheus.io/scrape": "false", "prometheus.io/port": "80"}),
            json!({"prometheus.istio.io/merge-metrics": "false", "prometheus.io/port": "80"}),
        ] {
            let mut pod = pod(&annotations);
            let before = pod.clone();
            merge(&mut pod, &MeshConfig::default(), 15020).unwrap();
            assert_eq!(pod, before);
        }
    }

    #[test]
    fn several_ports_are_scraped_and_none_of_the_mesh() {
        let targets = |text: &str| {
            let mut pod = pod(&json!({"prometheus.istio.io/scrape-targets": text}));
            let merged = merge(&mut pod, &MeshConfig::default(), 15020);
            merged.map(|()| pod.find(PROXY).unwrap()["env"][0]["value"].clone())
        };
        let all = json!([{"port": "80", "path": "/metrics"}, {"port": "90", "path": "/m"}]);
        for text in ["80, 90:/m", "80,, 90 : /m,", "80: ,90:/m"] {
            let told = targets(text).unwrap();
            let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
            assert_eq!(told["targets"], all, "{text}");
            assert_eq!(told["port"], "80", "{text}");
        }
        for reserved in ["15090", "15020:/metrics", "0", "http"] {
            assert!(targets(reserved).is_err(), "{reserved}");
        }
    }
}
