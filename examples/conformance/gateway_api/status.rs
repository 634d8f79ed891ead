//! Steps about the status of resources, which need no gateway: the status is what the library says
//! of the manifests of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mesh_core::analyze::status::{StatusOptions, statuses};
use mesh_core::config::MeshConfig;
use mesh_core::resource::Object;
use mesh_core::resource::gateway_api::object::GatewayApiObject;
use serde_json::Value;

use super::certificates::Certificates;
use super::{manifests, status_step};
use crate::case::{Outcome, list, text};
use crate::configuration::joined;

/// Where every Gateway is served that somebody is deployed for.
const ADDRESS: &str = "192.0.2.1";
/// Ends the names of checks that only look at the generation.
const LATEST: &str = "MustHaveLatestConditions";

/// The outcomes of the steps of `test` that are about a status, at their places.
pub(super) fn outcomes(
    test: &Value,
    directory: &Path,
    certificates: &Certificates,
) -> Vec<Option<Outcome>> {
    let steps = list(test, "steps");
    let is_status = |step: &&Value| text(step, "kind") == "status";
    if !steps.iter().any(|step| is_status(&step)) {
        return steps.iter().map(|_| None).collect();
    }
    let observed = [1, 2].map(|generation| Observed::of(test, directory, certificates, generation));
    let mut makes_resources = false;
    let outcome = |(index, step)| {
        is_status(&step).then(|| match (&observed, changes(steps, index)) {
            ([Err(why), _] | [_, Err(why)], _) => Outcome::failed(why.as_str()),
            (_, Change::Unknown) => {
                Outcome::unsupported("the test changes the resource before this step")
            }
            ([Ok(first), Ok(second)], change) => {
                makes_resources |= status_step::is_about_others(step, first);
                match change {
                    _ if makes_resources => {
                        Outcome::unsupported("the test makes resources before this step")
                    }
                    Change::Generation => status_step::check(step, second),
                    _ => status_step::check(step, first),
                }
            }
        })
    };
    steps.iter().enumerate().map(outcome).collect()
}

/// What the suite did to the resource of a step before it.
enum Change {
    None,
    /// Something that the step does not ask for.
    Generation,
    /// Something that the corpus does not tell.
    Unknown,
}

/// A test that asks twice whether a resource has its latest conditions changes it in between; where
/// exactly is not known.
fn changes(steps: &[Value], index: usize) -> Change {
    let resource = list(&steps[index], "args").first();
    let asks =
        |step: &Value| text(step, "fn").ends_with(LATEST) && list(step, "args").first() == resource;
    let asked: Vec<usize> = (0..steps.len()).filter(|&at| asks(&steps[at])).collect();
    match asked.as_slice() {
        [first, _, ..] if index <= *first => Change::None,
        [_, _, ..] if asked.contains(&index) => Change::Generation,
        [_, _, ..] => Change::Unknown,
        _ => Change::None,
    }
}

/// The status of all resources, as Kubernetes has it.
#[derive(Debug)]
pub(super) struct Observed {
    /// The generation of all resources.
    pub(super) generation: i64,
    // By kind, namespace and name.
    statuses: BTreeMap<(String, String, String), Value>,
    // Namespace and name of all resources.
    names: BTreeSet<(String, String)>,
}

impl Observed {
    fn of(
        test: &Value,
        directory: &Path,
        certificates: &Certificates,
        generation: i64,
    ) -> Result<Self, String> {
        let (configuration, _) = manifests::load(test, directory, certificates, None)?;
        let mut options = StatusOptions::default();
        let mut objects = configuration.objects().to_vec();
        let names = objects.iter().map(|object| {
            let metadata = object.metadata();
            (metadata.namespace.clone(), metadata.name.clone())
        });
        let names = names.collect();
        for object in &mut objects {
            object.metadata_mut().generation = Some(generation);
            if let Some((namespace, name)) = deployed(object) {
                options = options.served_at(namespace, name, [ADDRESS]);
            }
        }
        let config = MeshConfig::builder().extend(objects).build(1);
        let config = config.map_err(|duplicates| joined(&duplicates))?;
        let found = statuses(&config, &options);
        let found = serde_json::to_value(found).map_err(|error| error.to_string())?;
        let mut statuses = BTreeMap::new();
        for document in found.as_array().into_iter().flatten() {
            let metadata = document.get("metadata").unwrap_or(&Value::Null);
            let key = (
                text(document, "kind").to_owned(),
                text(metadata, "namespace").to_owned(),
                text(metadata, "name").to_owned(),
            );
            let status = document.get("status").cloned();
            statuses.insert(key, status.unwrap_or_default());
        }
        Ok(Self {
            generation,
            statuses,
            names,
        })
    }

    /// The status of a resource.
    pub(super) fn get(&self, kind: &str, (namespace, name): (&str, &str)) -> Option<&Value> {
        let key = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        self.statuses.get(&key)
    }

    /// The status of the route of that name, whichever its kind.
    pub(super) fn route(&self, (namespace, name): (&str, &str)) -> Option<&Value> {
        let mut found = self.statuses.iter();
        found
            .find(|((kind, of, found), _)| {
                kind.ends_with("Route") && of == namespace && found == name
            })
            .map(|(_, status)| status)
    }

    /// Whether the manifests have a resource of that name.
    pub(super) fn has(&self, (namespace, name): (&str, &str)) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        self.names.contains(&key)
    }

    /// The name of the only resource of a kind.
    pub(super) fn only(&self, kind: &str) -> Option<(&str, &str)> {
        let mut found = self.statuses.keys().filter(|(of, ..)| of == kind);
        let (_, namespace, name) = found.next()?;
        found.next().is_none().then_some((namespace, name))
    }
}

/// The name of a Gateway that a controller deploys somebody for, as it names no Service.
fn deployed(object: &Object) -> Option<(&str, &str)> {
    let Object::GatewayApi(GatewayApiObject::KubernetesGateway(gateway)) = object else {
        return None;
    };
    let gateway = Arc::as_ref(gateway);
    let is_deployed = match gateway.spec.addresses.as_slice() {
        [] => true,
        [only] => only.r#type.as_deref().unwrap_or("IPAddress") == "IPAddress",
        _ => false,
    };
    let metadata = &gateway.metadata;
    is_deployed.then_some((&metadata.namespace, &metadata.name))
}
