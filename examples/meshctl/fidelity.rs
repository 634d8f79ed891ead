use std::collections::BTreeMap;

use examples::config::Loaded;
use examples::gateway;
use mesh_core::analyze::fidelity::{
    Capabilities, CatalogueField, Fidelity, FieldFidelity, Treatment, catalogue, fidelity,
};
use mesh_core::config::MeshConfig;

use crate::workload::WorkloadName;
use crate::{Answer, Failure, Output, json};

/// What of a report is listed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    /// Only what is unsupported, or enforced differently.
    pub(crate) problems: bool,
    pub(crate) output: Output,
}

/// What becomes of each field that the files set, by what the ingress gateway enforces or by all
/// that the libraries do.
pub(crate) fn report(
    loaded: Loaded,
    workload: Option<&WorkloadName>,
    capabilities: &Capabilities,
    listing: Listing,
) -> Result<Answer, Failure> {
    let built = loaded.build(MeshConfig::builder(), 1);
    let (config, _) = built.map_err(Failure::Configuration)?;
    let workload = workload.map(|name| name.to_workload(name.is_gateway(&config)));
    let found = fidelity(&config, workload.as_ref(), capabilities);
    let fields = found.fields().iter();
    let fields = fields.filter(|field| !listing.problems || is_problem(field.treatment));
    let text = match listing.output {
        Output::Json => json(&fields.collect::<Vec<_>>()),
        Output::Text => list(&found, fields),
    };
    let is_good = found.refusals().next().is_none();
    Ok(Answer { text, is_good })
}

fn is_problem(treatment: Treatment) -> bool {
    treatment.is_unsupported() || matches!(treatment, Treatment::Differently(..))
}

fn list<'f>(found: &Fidelity, fields: impl Iterator<Item = &'f FieldFidelity>) -> String {
    let mut text: String = fields
        .map(|field| match field.is_refused() {
            true => format!("{field} (refused)\n"),
            false => format!("{field}\n"),
        })
        .collect();
    let (all, unsupported) = (found.fields().len(), found.unsupported().count());
    let refused = found.refusals().count();
    text += &format!("{all} fields, {unsupported} unsupported, {refused} of them refused\n");
    text
}

/// The table of all fields, for the README: what the libraries enforce, and whether the ingress
/// gateway has composed it.
pub(crate) fn table() -> String {
    let (all, composed) = (catalogue(&Capabilities::all()), gateway::capabilities());
    let mut rows =
        String::from("| kind | fields | treatment | in the gateway |\n|---|---|---|---|\n");
    for (kind, groups) in by_kind(&all) {
        for (treatment, fields) in groups {
            let in_gateway = in_gateway(treatment, &composed);
            let fields = siblings(&fields).join(", ");
            rows += &format!("| {kind} | {fields} | {treatment} | {in_gateway} |\n");
        }
    }
    rows
}

fn in_gateway(treatment: Treatment, composed: &Capabilities) -> &'static str {
    match treatment {
        Treatment::Enforced(by) | Treatment::Differently(by, _) if composed.enforces(by) => "yes",
        Treatment::Enforced(by) | Treatment::Differently(by, _) if composed.withholds(by) => {
            "what needs it is not served"
        }
        _ if treatment.is_enforced() => "no",
        _ => "",
    }
}

type Groups = Vec<(Treatment, Vec<String>)>;

/// The fields of each kind by what becomes of them, in the order of the catalogue. Objects whose
/// fields are all treated alike are named as a whole.
fn by_kind(all: &[CatalogueField]) -> Vec<(String, Groups)> {
    let mut kinds: Vec<(String, Groups)> = Vec::new();
    for of_kind in all.chunk_by(|a, b| (a.group, a.kind) == (b.group, b.kind)) {
        let mut groups = Groups::new();
        for (path, treatment) in collapsed(of_kind) {
            match groups.iter_mut().find(|(other, _)| *other == treatment) {
                Some((_, paths)) => paths.push(path),
                None => groups.push((treatment, vec![path])),
            }
        }
        kinds.extend(of_kind.first().map(|first| (kind(first), groups)));
    }
    kinds
}

fn kind(field: &CatalogueField) -> String {
    match field.group {
        "gateway.networking.k8s.io" => format!("{} (Gateway API)", field.kind),
        _ => field.kind.to_owned(),
    }
}

/// The shallowest paths below which all fields are treated alike, without `spec.`.
fn collapsed(fields: &[CatalogueField]) -> Vec<(String, Treatment)> {
    let mut alike: BTreeMap<String, Option<Treatment>> = BTreeMap::new();
    for field in fields {
        for above in prefixes(&field.path) {
            let entry = alike
                .entry(above.to_owned())
                .or_insert(Some(field.treatment));
            *entry = entry.filter(|treatment| *treatment == field.treatment);
        }
    }
    let mut paths: Vec<(String, Treatment)> = Vec::new();
    for field in fields {
        let is_uniform = |path: &&str| alike.get(*path).copied().flatten().is_some();
        let Some(path) = prefixes(&field.path).find(is_uniform) else {
            continue;
        };
        let path = path.strip_prefix("spec.").unwrap_or(path);
        if paths.last().is_none_or(|(last, _)| last != path) {
            paths.push((path.to_owned(), field.treatment));
        }
    }
    paths
}

/// Paths in Markdown, neighbours of one object together: `` `http[].{name, timeout}` ``.
fn siblings(paths: &[String]) -> Vec<String> {
    let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    let groups = paths.chunk_by(|a, b| parent(a).is_some() && parent(a) == parent(b));
    let text = |group: &[String]| match (group, group.first().and_then(|path| parent(path))) {
        ([_, _, ..], Some(parent)) => {
            let names: Vec<&str> = group.iter().map(|path| &path[parent.len() + 1..]).collect();
            format!("`{parent}.{{{}}}`", names.join(", "))
        }
        (paths, _) => format!("`{}`", paths.join("`, `")),
    };
    groups.map(text).collect()
}

/// `spec.http[]` and `spec.http[].name` for `spec.http[].name`: the whole `spec` is none.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('.').map(|(end, _)| end);
    ends.chain([path.len()])
        .map(|end| &path[..end])
        .filter(|prefix| *prefix != "spec")
}
