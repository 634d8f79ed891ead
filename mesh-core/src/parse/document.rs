use std::sync::Arc;

use super::nearest::{nearest, nearest_within};
use super::node::{Content, Node};
use super::problem::{self, Problem, ProblemKind, excerpt};
use super::resource::Reader;
use super::yaml::Documents;
use super::{Limits, too_long};
use crate::origin::{Origin, Position};
use crate::resource::Object;
use crate::resource::kind::Kind;
use crate::resource::value::Value;

/// How many characters of a group are mistyped at most. Others have kinds of the same names as ours.
const MAX_SLIPS: usize = 2;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Resources that have no problems, in the order of the file.
    pub objects: Vec<Object>,
    /// Resources of kinds that are none of ours. They are not read further.
    pub unknown: Vec<UnknownKind>,
    /// What is wrong, in the order of the file. A document with a problem yields no object.
    pub problems: Vec<Problem>,
}

/// A resource of a kind that is not read here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownKind {
    /// API group and version, as written.
    pub api_version: String,
    /// Where the resource is; its kind and name, as written.
    pub origin: Origin,
}

/// Reads all resources of a file: YAML of several documents, or JSON.
///
/// `file` names the file in problems and positions. A `List` (or `VirtualServiceList` and the
/// like) yields its items. A document that is empty, or has comments only, yields nothing.
///
/// ```
/// use mesh_core::parse::{Limits, parse};
///
/// let text = "\
/// apiVersion: v1
/// kind: Namespace
/// metadata: {name: prod}
/// ---
/// apiVersion: batch/v1
/// kind: Job
/// metadata: {name: once}
/// ---
/// apiVersion: networking.istio.io/v1
/// kind: VirtualServce
/// metadata: {name: reviews}
/// ";
/// let parsed = parse("mesh.yaml", text, &Limits::default());
///
/// assert_eq!(parsed.objects[0].origin().to_string(), "Namespace prod (mesh.yaml:1:1)");
/// assert_eq!(parsed.unknown[0].origin.to_string(), "Job once (mesh.yaml:5:1)");
/// assert_eq!(
///     parsed.problems[0].to_string(),
///     "mesh.yaml:10:7: unknown kind `VirtualServce` in `networking.istio.io/v1` \
///      (did you mean `VirtualService`?)"
/// );
/// ```
pub fn parse(file: &str, text: &str, limits: &Limits) -> Parsed {
    let file = Arc::from(file);
    let mut parsed = Parsed::default();
    if let Some(problem) = too_long(&file, text, limits) {
        parsed.problems.push(problem);
        return parsed;
    }
    for document in Documents::new(&file, text, limits) {
        let whole = document.problems.is_empty();
        parsed.problems.extend(document.problems);
        if let Some(root) = &document.root {
            let before = parsed.objects.len();
            let nodes = document.nodes;
            parsed.read(Element {
                node: root,
                nodes,
                file: &file,
                list: None,
            });
            if !whole {
                parsed.objects.truncate(before);
            }
        }
        if parsed.problems.len() > limits.max_problems {
            let (limit, what) = (limits.max_problems, "problems; the rest was not read");
            parsed.problems.truncate(limit);
            parsed.problems.push(Problem {
                file: Arc::clone(&file),
                position: Position::default(),
                path: String::new(),
                kind: ProblemKind::Limit { limit, what },
            });
            break;
        }
    }
    parsed
}

/// Reads a resource, or a list of them, that something else than this parser took from a text.
///
/// `origin` names where it is from in problems; there are no positions.
///
/// ```
/// use mesh_core::parse::parse_value;
/// use mesh_core::resource::Value;
///
/// let value: Value = serde_json::from_str(
///     r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}"#,
/// )?;
/// let parsed = parse_value("the cluster", &value);
/// assert_eq!(parsed.objects[0].origin().to_string(), "Namespace prod (the cluster)");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn parse_value(origin: &str, value: &Value) -> Parsed {
    let file = Arc::from(origin);
    let node = Node::from(value);
    let nodes = node.weight().nodes;
    let mut parsed = Parsed::default();
    parsed.read(Element {
        node: &node,
        nodes,
        file: &file,
        list: None,
    });
    parsed
}

/// A document, or an item of a list, that is to be a resource.
#[derive(Clone, Copy)]
pub(super) struct Element<'e> {
    pub(super) node: &'e Node<'e>,
    /// Keys and values in the document.
    pub(super) nodes: usize,
    pub(super) file: &'e Arc<str>,
    /// Group with version, and kind, of the items of the enclosing list.
    list: Option<(&'e str, &'e str)>,
}

impl Parsed {
    fn read(&mut self, element: Element<'_>) {
        let before = self.problems.len();
        let Some((api_version, kind)) = self.identify(&element) else {
            return;
        };
        let (group, version) = group_and_version(api_version);
        if let Some(items) = element.items(kind) {
            let list = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
            let list = list.map(|kind| (api_version, kind));
            for node in items {
                self.read(Element {
                    node,
                    list,
                    ..element
                });
            }
            return;
        }
        let Some(known) = Kind::find(group, kind).filter(|kind| is_read(*kind)) else {
            self.unknown_kind(&element, api_version, kind);
            return;
        };
        let written = known.versions().iter().find(|known| **known == version);
        if written.is_none() {
            let kind = ProblemKind::UnsupportedVersion {
                api_version: excerpt(api_version),
                kind: known.name(),
                accepted: known.versions(),
                group: known.group(),
            };
            self.problems.push(element.problem("apiVersion", kind));
        }
        let reader = Reader::new(element, known, written.copied().unwrap_or_default());
        let object = reader.object(&mut self.problems);
        if self.problems.len() == before {
            self.objects.extend(object);
        } else {
            problem::sort(&mut self.problems[before..]);
        }
    }

    /// The `apiVersion` and `kind` of an element, which inherits them from its list.
    fn identify<'e>(&mut self, element: &Element<'e>) -> Option<(&'e str, &'e str)> {
        if !matches!(element.node.content, Content::Mapping(_)) {
            let kind = ProblemKind::WrongType {
                expected: "a resource",
                found: element.node.name(),
                value: excerpt(element.node.text().unwrap_or_default()),
            };
            self.problems.push(element.problem("", kind));
            return None;
        }
        let (list_version, list_kind) = element.list.unzip();
        let api_version = element.text("apiVersion").or(list_version);
        let kind = element.text("kind").or(list_kind);
        for (field, value) in [("apiVersion", api_version), ("kind", kind)] {
            if value.is_none() {
                let of = String::new();
                let kind = ProblemKind::Missing { field, of };
                self.problems.push(element.problem(field, kind));
            }
        }
        api_version.zip(kind)
    }

    fn unknown_kind(&mut self, element: &Element<'_>, api_version: &str, kind: &str) {
        let (group, _) = group_and_version(api_version);
        let known = || {
            Kind::ALL
                .iter()
                .filter(|known| known.group() == group && is_read(**known))
        };
        let ours = known().any(|known| known.is_istio() || known.is_gateway_api());
        if ours {
            let kind = ProblemKind::UnknownKind {
                kind: excerpt(kind),
                api_version: excerpt(api_version),
                nearest: nearest(kind, known().map(|known| known.name())),
            };
            self.problems.push(element.problem("kind", kind));
            return;
        }
        if let Some(nearest) = mistyped_group(group, kind) {
            let kind = ProblemKind::UnknownGroup {
                kind: excerpt(kind),
                api_version: excerpt(api_version),
                nearest,
            };
            self.problems.push(element.problem("apiVersion", kind));
            return;
        }
        let metadata = element.node.field("metadata");
        let text = |name| metadata.and_then(|metadata| metadata.field(name)?.text());
        let name = text("name").or_else(|| text("generateName"));
        let source = element.node.source(element.file, 1);
        self.unknown.push(UnknownKind {
            api_version: api_version.to_owned(),
            origin: Origin::new(
                kind,
                text("namespace").unwrap_or_default(),
                name.unwrap_or("(unnamed)"),
                &source,
            ),
        });
    }
}

/// The group and the version of an `apiVersion`. A group of ours without a version is taken for the
/// group, not for a version of the core group.
fn group_and_version(api_version: &str) -> (&str, &str) {
    let is_group = || Kind::ALL.iter().any(|kind| kind.group() == api_version);
    match api_version.rsplit_once('/') {
        Some(parts) => parts,
        None if !api_version.is_empty() && is_group() => (api_version, ""),
        None => ("", api_version),
    }
}

/// The group of ours that was probably meant by `group`, which is all but it and has no kind of ours.
fn mistyped_group(group: &str, kind: &str) -> Option<&'static str> {
    let ours = Kind::ALL.iter().filter(|known| {
        let is_ours = known.is_istio() || known.is_gateway_api();
        is_ours && known.name() == kind && is_read(**known)
    });
    nearest_within(MAX_SLIPS, group, ours.map(|known| known.group()))
}

/// Whether resources of `kind` become objects, rather than being listed.
fn is_read(kind: Kind) -> bool {
    cfg!(feature = "gateway-api") || !kind.is_gateway_api()
}

impl<'e> Element<'e> {
    fn text(&self, field: &str) -> Option<&'e str> {
        self.node.field(field)?.text()
    }

    /// The items, if this is a list of kind `kind`.
    fn items(&self, kind: &str) -> Option<&'e [Node<'e>]> {
        let items = kind.ends_with("List").then(|| self.node.field("items"))??;
        match &items.content {
            Content::Sequence(items) => Some(items),
            Content::Scalar(_) | Content::Mapping(_) => None,
        }
    }

    /// A problem of the field `field`, or of the whole when there is no such field.
    fn problem(&self, field: &str, kind: ProblemKind) -> Problem {
        Problem {
            file: Arc::clone(self.file),
            position: self.node.field(field).unwrap_or(self.node).position,
            path: String::new(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests;
