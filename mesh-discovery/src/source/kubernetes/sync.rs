//! What the events of all kinds amount to.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::diagnostic::Diagnostic;
use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;

use super::is_required;
use super::received::{Read, Unreadable};
use crate::source::{ObjectName, Update};

/// What happened to the objects of one kind.
#[derive(Debug)]
pub(super) enum KindEvent {
    /// The server does not have the kind.
    Absent,
    Applied(Read),
    /// The server cannot be asked, or gives no sensible answer.
    Failed(Diagnostic),
    Listed(Vec<Read>),
    /// The server answers again.
    Recovered,
    /// The source may not read the kind.
    Refused(Diagnostic),
    Removed(ObjectName),
}

/// Puts the events of all kinds together. Until all kinds are known, nothing is reported but
/// failures.
#[derive(Debug)]
pub(super) struct Sync {
    // What was listed of each kind before all kinds were known.
    listed: BTreeMap<Kind, Vec<Object>>,
    unknown: BTreeSet<Kind>,
    failed: BTreeMap<Kind, Diagnostic>,
    refused: BTreeMap<Kind, Diagnostic>,
    unreadable: BTreeMap<ObjectName, Vec<Diagnostic>>,
}

impl Sync {
    pub(super) fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self {
            listed: BTreeMap::new(),
            unknown: kinds.into_iter().collect(),
            failed: BTreeMap::new(),
            refused: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Takes an event in, and gives what is to be reported.
    pub(super) fn handle_event(&mut self, kind: Kind, event: KindEvent) -> Vec<Update> {
        let before = (self.problems(), self.failed.clone());
        let mut updates = match event {
            KindEvent::Listed(read) => {
                self.unreadable.retain(|name, _| name.kind != kind);
                let objects = read.into_iter().filter_map(|read| self.object(read));
                let objects = objects.collect();
                self.handle_list(kind, objects)
            }
            KindEvent::Absent => {
                self.unreadable.retain(|name, _| name.kind != kind);
                self.handle_list(kind, Vec::new())
            }
            KindEvent::Refused(why) => self.handle_refusal(kind, why),
            KindEvent::Failed(why) => {
                self.failed.insert(kind, why);
                Vec::new()
            }
            KindEvent::Recovered => {
                self.failed.remove(&kind);
                Vec::new()
            }
            KindEvent::Applied(read) => {
                self.failed.remove(&kind);
                let name = read.name(kind);
                self.unreadable.remove(&name);
                match self.object(read) {
                    Some(object) => vec![changes(Some(object), None)],
                    None => vec![changes(None, Some(name))],
                }
            }
            KindEvent::Removed(name) => {
                self.failed.remove(&kind);
                self.unreadable.remove(&name);
                vec![changes(None, Some(name))]
            }
        };
        let (problems, failed) = before;
        let now = self.problems();
        if now != problems {
            updates.push(Update::Problems(now));
        }
        updates.extend(self.health(&failed));
        updates
    }

    fn handle_list(&mut self, kind: Kind, objects: Vec<Object>) -> Vec<Update> {
        self.failed.remove(&kind);
        self.refused.remove(&kind);
        let was_unknown = self.unknown.remove(&kind);
        if !was_unknown {
            return match self.unknown.is_empty() {
                true => vec![Update::AllOf { kind, objects }],
                false => {
                    self.listed.insert(kind, objects);
                    Vec::new()
                }
            };
        }
        self.listed.insert(kind, objects);
        self.first().into_iter().collect()
    }

    /// A kind that may not be read is as one without objects, unless objects of it are required or
    /// were known before.
    fn handle_refusal(&mut self, kind: Kind, why: Diagnostic) -> Vec<Update> {
        if is_required(kind) || !self.unknown.contains(&kind) {
            self.failed.insert(kind, why);
            return Vec::new();
        }
        self.failed.remove(&kind);
        self.refused.insert(kind, why);
        self.unknown.remove(&kind);
        self.first().into_iter().collect()
    }

    /// All that was listed, as soon as all kinds are known.
    fn first(&mut self) -> Option<Update> {
        if !self.unknown.is_empty() {
            return None;
        }
        let listed = std::mem::take(&mut self.listed);
        Some(Update::All(listed.into_values().flatten().collect()))
    }

    fn object(&mut self, read: Read) -> Option<Object> {
        match read {
            Read::Object(object) => Some(object),
            Read::Unreadable(unreadable) => {
                let Unreadable {
                    name,
                    why,
                    replacement,
                } = unreadable;
                self.unreadable.insert(name, why);
                replacement
            }
        }
    }

    fn problems(&self) -> Vec<Diagnostic> {
        let unreadable = self.unreadable.values().flatten();
        self.refused.values().chain(unreadable).cloned().collect()
    }

    /// Whether the source fails otherwise than before.
    fn health(&self, before: &BTreeMap<Kind, Diagnostic>) -> Option<Update> {
        if self.failed == *before {
            return None;
        }
        let why: Vec<Diagnostic> = self.failed.values().cloned().collect();
        match why.is_empty() {
            true if !self.unknown.is_empty() => None,
            true => Some(Update::Recovered),
            false => Some(Update::Failed(why)),
        }
    }
}

fn changes(applied: Option<Object>, removed: Option<ObjectName>) -> Update {
    Update::Changes {
        applied: applied.into_iter().collect(),
        removed: removed.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;
