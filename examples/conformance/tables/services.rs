//! Services and their endpoints: names, visibility, validity and place.

use mesh_core::config::services::Service;
use mesh_core::config::visibility::Visibility;
use mesh_core::model::cluster::{Endpoint, EndpointAddress};
use mesh_core::service::ClusterName;
use mesh_discovery::locality::Locality;
use serde_json::{Value, json};

use super::world::{NAMESPACE, World};
use super::{Row, Run};
use crate::case::{Outcome, text};
use crate::validation::judge;

/// Suffix of the names of Kubernetes Services in [`NAMESPACE`].
const SUFFIX: &str = ".default.svc.cluster.local";

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("push_context_test.go", "TestResolveServiceAliases") => Some(aliases),
        ("service_lookup_test.go", "TestGetVisibleNamespacesFromExportToAnno") => Some(visibility),
        ("service_test.go", "TestWorkloadInstanceEqual") => Some(equal_instances),
        ("validation_test.go", "TestServiceValidate") => Some(valid_service),
        ("validation_test.go", "TestServiceInstanceValidate") => Some(valid_instance),
        ("proxy_test.go", "TestSanitizeLocalityLabel") => Some(locality_label),
        ("util_test.go", "TestIsLocalityEmpty") => Some(empty_locality),
        ("util_test.go", "TestConvertLocality") => Some(read_locality),
        ("util_test.go", "TestLocalityMatch") => Some(matched_locality),
        _ => None,
    }
}

fn kubernetes_service(name: &str, annotations: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": spec,
    })
}

/// The names of a row are those of Services in one namespace.
fn aliases(row: &Row<'_>) -> Option<Outcome> {
    let mut world = World::default();
    for service in row.field("input")?.as_array()? {
        let service = Row(service);
        let ports = json!([{"name": "http", "port": 80}]);
        let spec = match service.text("ExternalName")? {
            "" => json!({"clusterIP": "10.0.0.1", "ports": ports}),
            name => json!({"type": "ExternalName", "externalName": format!("{name}{SUFFIX}")}),
        };
        world = world.with_object(kubernetes_service(service.text("Name")?, &json!({}), &spec));
    }
    let config = match world.build() {
        Ok(config) => config,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    for expected in row.field("output")?.as_array()? {
        let expected = Row(expected);
        let name = expected.text("Name")?;
        let found = config
            .services()
            .lookup(&format!("{name}{SUFFIX}"), NAMESPACE);
        let found = found.map(|service| alias_names(service));
        let outcome = Outcome::equal(
            &Some(expected.texts("Aliases")?),
            &found
                .as_ref()
                .map(|names| names.iter().map(String::as_str).collect()),
        );
        if outcome != Outcome::Passed {
            return Some(outcome);
        }
    }
    Some(Outcome::Passed)
}

fn alias_names(service: &Service) -> Vec<String> {
    let names = service.aliases.iter().map(|alias| &alias.hostname);
    names
        .map(|name| name.strip_suffix(SUFFIX).unwrap_or(name).to_owned())
        .collect()
}

fn visibility(row: &Row<'_>) -> Option<Outcome> {
    let annotations = json!({"networking.istio.io/exportTo": row.text("Annotation")?});
    let spec = json!({"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80}]});
    let mut service = kubernetes_service("svc", &annotations, &spec);
    service["metadata"]["namespace"] = row.text("ResourceNamespace")?.into();
    let config = match World::default().with_object(service).build() {
        Ok(config) => config,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let mut services = config.services().iter();
    let expected = match row.texts("Want")?.as_slice() {
        ["*"] => Visibility::Public,
        ["~"] => Visibility::Nobody,
        names => Visibility::Namespaces(names.iter().map(ToString::to_string).collect()),
    };
    let found = services.next().map(|service| &service.visibility);
    Some(Outcome::equal(&Some(&expected), &found))
}

/// Whether two endpoints are the same.
fn equal_instances(row: &Row<'_>) -> Option<Outcome> {
    let [one, other] = ["comparer", "comparee"].map(|name| row.field(name)?.get("Endpoint"));
    let same = match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let port_names = [one, other].map(|endpoint| text(endpoint, "ServicePortName"));
            if port_names[0] != port_names[1] {
                return None;
            }
            endpoint(Row(one))? == endpoint(Row(other))?
        }
        _ => false,
    };
    Some(Outcome::equal(&row.flag("shouldEq")?, &same))
}

fn endpoint(written: Row<'_>) -> Option<Endpoint> {
    let [address] = written.texts("Addresses")?[..] else {
        return None;
    };
    let port = u16::try_from(written.number("EndpointPort")?).ok()?;
    let address = EndpointAddress::Dns {
        host: address.to_owned(),
        port,
    };
    let labels = written.field("Labels").and_then(Value::as_object)?.iter();
    let labels: Option<_> = labels
        .map(|(key, value)| Some((&**key, value.as_str()?)))
        .collect();
    Some(Endpoint {
        weight: u32::try_from(written.number("LbWeight")?).ok()?,
        labels: labels?,
        locality: Row(written.field("Locality")?).text("Label")?.to_owned(),
        network: written.text("Network")?.to_owned(),
        mesh_tls: written.text("TLSMode")? == "mutual",
        service_account: written.text("ServiceAccount")?.to_owned(),
        ..Endpoint::new(address)
    })
}

/// A service, as a ServiceEntry declares one. One without ports is taken, and never called.
fn valid_service(row: &Row<'_>) -> Option<Outcome> {
    row.field("service")?.get("Ports")?;
    let entry = service_entry(row.field("service")?, None)?;
    Some(judge(!row.flag("valid")?, &entry))
}

/// A service and an endpoint of it, as a ServiceEntry declares them.
fn valid_instance(row: &Row<'_>) -> Option<Outcome> {
    let instance = Row(row.field("instance")?);
    let none = json!({});
    let service = instance.field("Service").unwrap_or(&none);
    let entry = service_entry(service, instance.field("Endpoint"))?;
    Some(judge(!row.flag("valid")?, &entry))
}

fn service_entry(service: &Value, endpoint: Option<&Value>) -> Option<Value> {
    let service = Row(service);
    let ports = match service.field("Ports") {
        None => Vec::new(),
        Some(ports) => ports.get("_pos").unwrap_or(ports).as_array()?.clone(),
    };
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| {
            json!({
                "name": text(port, "Name"),
                "number": port.get("Port"),
                "protocol": text(port, "Protocol"),
            })
        })
        .collect();
    let mut spec = json!({
        "hosts": [service.text("Hostname")?],
        "ports": ports,
        "resolution": "STATIC",
        "endpoints": [{"address": "192.0.2.1"}],
    });
    if let Some(endpoint) = endpoint {
        let endpoint = Row(endpoint);
        let first = ports.first().map_or("", |port| text(port, "name"));
        let endpoints = endpoint.texts("Addresses")?.into_iter().map(|address| {
            json!({
                "address": address,
                "labels": endpoint.field("Labels"),
                "ports": {first: endpoint.field("EndpointPort")},
            })
        });
        spec["endpoints"] = endpoints.collect();
    }
    Some(json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "service", "namespace": NAMESPACE},
        "spec": spec,
    }))
}

/// The label of an endpoint, and where that is.
fn locality_label(row: &Row<'_>) -> Option<Outcome> {
    let entry = json!({
        "hosts": ["svc.example"],
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [
            {"address": "10.0.0.1", "labels": {"istio-locality": row.text("label")?}},
        ],
    });
    let cluster = World::default()
        .with("ServiceEntry", "svc", &entry)
        .cluster(&ClusterName::outbound(80, "", "svc.example"));
    Some(match cluster {
        Ok(cluster) => {
            let found = cluster.endpoints.first();
            let found = found.map(|endpoint| endpoint.locality.as_str());
            Outcome::equal(&Some(row.text("expected")?), &found)
        }
        Err(why) => Outcome::Failed(why),
    })
}

/// A place whose region is unknown is none.
fn empty_locality(row: &Row<'_>) -> Option<Outcome> {
    let place = place(row.field("locality"))?;
    Some(Outcome::equal(
        &row.flag("want")?,
        &(place == Locality::default()),
    ))
}

fn place(written: Option<&Value>) -> Option<Locality> {
    let part = |name| match written {
        None => Some(String::new()),
        Some(written) => Row(written).text(name).map(str::to_owned),
    };
    Some(Locality {
        region: part("Region")?,
        zone: part("Zone")?,
        subzone: part("SubZone")?,
    })
}

fn read_locality(row: &Row<'_>) -> Option<Outcome> {
    let found = Locality::from(row.text("locality")?);
    Some(Outcome::equal(&place(row.field("want"))?, &found))
}

fn matched_locality(row: &Row<'_>) -> Option<Outcome> {
    let place = place(row.field("locality"))?;
    let found = place.is_matched_by(row.text("rule")?);
    Some(Outcome::equal(&row.flag("match")?, &found))
}
