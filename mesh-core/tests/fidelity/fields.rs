//! What is called enforced is read: without such a field, something else is resolved.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mesh_core::analyze::fidelity::{Capabilities, CatalogueField, catalogue};
use mesh_core::config::MeshConfig;
use mesh_core::parse::{Limits, parse, parse_as};
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use serde_json::{Value, json};

use crate::elsewhere::{self, Elsewhere};

/// Files, each of which sets fields that do not exclude each other; and `base.yaml`, which is part of
/// each scene: what the rules of the others are about.
const SCENES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fidelity/scenes");

#[test]
fn each_field_that_is_called_enforced_changes_what_is_resolved() {
    let scenes = scenes();
    let unread: BTreeSet<String> = enforced()
        .filter(|field| elsewhere::of(field).is_none())
        .filter(|field| !is_repeated(&field.path))
        .filter(|field| {
            !scenes
                .iter()
                .any(|(scene, before)| scene.reads(field, before))
        })
        .map(|field| format!("{} {}", field.kind, field.path))
        .collect();
    let count = unread.len();
    assert!(
        unread.is_empty(),
        "{count} fields change nothing:\n{unread:#?}"
    );
}

#[test]
fn what_is_shown_elsewhere_is_called_enforced_and_has_tests() {
    for elsewhere in elsewhere::ALL {
        let Elsewhere {
            kind, path, tests, ..
        } = elsewhere;
        let mut enforced = enforced();
        assert!(
            enforced.any(|field| elsewhere.is_about(&field)),
            "{kind} {path}"
        );
        for test in *tests {
            let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(test);
            let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("no {test}"));
            assert!(
                text.contains("#[test]") || text.contains("#[tokio::test"),
                "{test}"
            );
        }
    }
}

fn enforced() -> impl Iterator<Item = CatalogueField> {
    let all = catalogue(&Capabilities::all()).into_iter();
    all.filter(|field| field.treatment.is_enforced())
}

/// Whether it is a field of settings that stand at several places, and have one meaning: what is at
/// the first one is looked at in full, the others as far as scenes have them.
fn is_repeated(path: &str) -> bool {
    let policies = [
        "spec.subsets[].trafficPolicy.",
        "spec.trafficPolicy.portLevelSettings[].",
    ];
    let tls = "spec.ingress[].tls.";
    let pools = "spec.ingress[].connectionPool.";
    policies
        .iter()
        .chain([&tls, &pools])
        .any(|place| path.starts_with(place))
}

/// The scenes, and what is resolved of each.
fn scenes() -> Vec<(Scene, Value)> {
    let files = fs::read_dir(SCENES).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let base = |file: &PathBuf| file.ends_with("base.yaml");
    let read = |file: PathBuf| {
        let scene = Scene::read(&fs::read_to_string(&file).unwrap());
        let observed = scene.observe();
        let observed = observed.unwrap_or_else(|found| panic!("{}: {found}", file.display()));
        (scene, observed)
    };
    files.filter(|file| !base(file)).map(read).collect()
}

/// Documents, and what they say of the mesh.
#[derive(Clone)]
struct Scene {
    documents: Vec<Value>,
    mesh: Value,
}

impl Scene {
    fn read(text: &str) -> Self {
        let base = fs::read_to_string(format!("{SCENES}/base.yaml")).unwrap();
        let documents = base.split("\n---\n").chain(text.split("\n---\n"));
        let read = |text: &str| {
            let read = parse_as::<Value>("scene.yaml", text, &Limits::default());
            read.expect("a scene is YAML").0
        };
        let mut scene = Self {
            documents: documents.map(read).collect(),
            mesh: json!({}),
        };
        if let Some(index) = scene
            .documents
            .iter()
            .position(|one| one["kind"] == "MeshConfig")
        {
            let mut mesh = scene.documents.remove(index);
            mesh.as_object_mut().unwrap().remove("kind");
            scene.mesh = mesh;
        }
        scene
    }

    /// Whether something else is resolved if the scene does not have `field`, or has another value.
    fn reads(&self, field: &CatalogueField, before: &Value) -> bool {
        let path: Vec<Step<'_>> = steps(&field.path);
        let differs = |scene: Self| scene.observe().is_ok_and(|after| after != *before);
        if field.kind == "MeshConfig" {
            let mut changed = changes(&self.mesh, &path).into_iter();
            return changed.any(|mesh| {
                differs(Self {
                    mesh,
                    ..self.clone()
                })
            });
        }
        let documents = self.documents.iter().enumerate();
        let mut documents = documents.filter(|(_, document)| {
            let version = document["apiVersion"].as_str().unwrap_or_default();
            document["kind"] == field.kind && version.starts_with(field.group)
        });
        documents.any(|(index, document)| {
            changes(document, &path).into_iter().any(|document| {
                let mut scene = self.clone();
                scene.documents[index] = document;
                differs(scene)
            })
        })
    }

    /// What is resolved for several workloads; or why the documents cannot be read.
    fn observe(&self) -> Result<Value, String> {
        let mesh = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": self.mesh.to_string()},
        });
        let documents = self.documents.iter().chain([&mesh]);
        let text: Vec<String> = documents.map(Value::to_string).collect();
        let parsed = parse("scene.yaml", &text.join("\n---\n"), &Limits::default());
        if !parsed.problems.is_empty() {
            return Err(format!("{:?}", parsed.problems));
        }
        let builder = MeshConfig::builder().extend(parsed.objects);
        let built = builder.options_from_config_map();
        let (builder, _) = built.map_err(|found| format!("{found:?}"))?;
        let config = builder.build(1).map_err(|found| format!("{found:?}"))?;
        let resolved = workloads().map(|workload| {
            let model = resolve(&config, &workload);
            let mut model = serde_json::to_value(model).expect("a model is JSON");
            strip(&mut model);
            model
        });
        Ok(resolved.into())
    }
}

/// Who is affected by one rule or the other.
fn workloads() -> [Workload; 5] {
    let gateway = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    let edge = gateway.clone().with_label("edge", "yes");
    let mut web = Workload::sidecar("shop").with_label("app", "web");
    web.addresses = vec![[192, 0, 2, 9].into()];
    web.locality = "r1/a".parse().expect("a locality");
    let worker = Workload::sidecar("shop").with_label("app", "worker");
    let other = Workload::sidecar("other").with_label("app", "batch");
    [gateway, edge, web, worker, other]
}

/// Removes where things are written, which differs for each text, and what only says that something
/// is odd.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for key in ["line", "column", "file", "notices", "origin"] {
                members.remove(key);
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// A part of the path of a field.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    /// Any item of an array, or any member of a map.
    Any,
}

fn steps(path: &str) -> Vec<Step<'_>> {
    path.split('.')
        .flat_map(|part| {
            let bare = part.trim_end_matches("[]").trim_end_matches("[*]");
            let any = (bare != part).then_some(Step::Any);
            [Some(Step::Key(bare)), any].into_iter().flatten()
        })
        .collect()
}

/// `value` without what is at `path`, and with something else there, wherever it has such a path.
fn changes(value: &Value, path: &[Step<'_>]) -> Vec<Value> {
    let Some((step, below)) = path.split_first() else {
        return others(value);
    };
    let keys: Vec<Key> = match (step, value) {
        (Step::Key(key), Value::Object(members)) if members.contains_key(*key) => {
            vec![Key::Member((*key).to_owned())]
        }
        (Step::Any, Value::Object(members)) => members.keys().cloned().map(Key::Member).collect(),
        (Step::Any, Value::Array(items)) => (0..items.len()).map(Key::Item).collect(),
        _ => Vec::new(),
    };
    let mut changed = Vec::new();
    for key in keys {
        for other in changes(key.of(value), below) {
            changed.push(key.set(value, Some(other)));
        }
        if below.is_empty() {
            changed.push(key.set(value, None));
        }
    }
    changed
}

enum Key {
    Member(String),
    Item(usize),
}

impl Key {
    fn of<'v>(&self, value: &'v Value) -> &'v Value {
        match self {
            Self::Member(key) => &value[key],
            Self::Item(index) => &value[*index],
        }
    }

    fn set(&self, value: &Value, to: Option<Value>) -> Value {
        let mut value = value.clone();
        match (self, &mut value, to) {
            (Self::Member(key), Value::Object(members), Some(to)) => {
                members.insert(key.clone(), to);
            }
            (Self::Member(key), Value::Object(members), None) => {
                members.remove(key);
            }
            (Self::Item(index), Value::Array(items), Some(to)) => items[*index] = to,
            (Self::Item(index), Value::Array(items), None) => {
                items.remove(*index);
            }
            _ => unreachable!("the key is of the value"),
        }
        value
    }
}

/// Other values, of which some may be as good.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => number
            .as_u64()
            .map(|number| json!(number + 1))
            .into_iter()
            .collect(),
        Value::String(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            vec![json!(format!("1{text}"))]
        }
        Value::String(text) => vec![json!(format!("{text}x"))],
        Value::Array(items) => items.get(1..).map(|rest| json!(rest)).into_iter().collect(),
        Value::Object(members) => {
            let renamed = members
                .iter()
                .map(|(key, value)| (format!("{key}x"), value.clone()));
            vec![json!({}), Value::Object(renamed.collect())]
        }
        Value::Null => Vec::new(),
    }
}
