//! What the events of all kinds amount to.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::diagnostic::Diagnostic;
use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;

use super::closed::closes_at_once;
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
    objects: BTreeMap<Kind, BTreeMap<ObjectName, Known>>,
    unknown: BTreeSet<Kind>,
    failed: BTreeMap<Kind, Diagnostic>,
    refused: BTreeMap<Kind, Diagnostic>,
    unreadable: BTreeMap<ObjectName, Vec<Diagnostic>>,
}

/// What counts as an object.
#[derive(Debug)]
enum Known {
    /// The last version of it that could be read.
    Read(Object),
    /// What is in place of one that never could be.
    StandIn(Object),
}

impl Known {
    fn object(&self) -> &Object {
        match self {
            Self::Read(object) | Self::StandIn(object) => object,
        }
    }
}

impl Sync {
    pub(super) fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self {
            objects: BTreeMap::new(),
            unknown: kinds.into_iter().collect(),
            failed: BTreeMap::new(),
            refused: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Takes an event in, and gives what is to be reported.
    pub(super) fn handle_event(&mut self, kind: Kind, event: KindEvent) -> Vec<Update> {
        let (problems, failed) = (self.problems(), self.failed.clone());
        let update = match event {
            KindEvent::Listed(read) => self.handle_list(kind, read),
            KindEvent::Absent => self.handle_list(kind, Vec::new()),
            KindEvent::Refused(why) => self.handle_refusal(kind, why),
            KindEvent::Failed(why) => {
                self.failed.insert(kind, why);
                None
            }
            KindEvent::Recovered => {
                self.failed.remove(&kind);
                None
            }
            KindEvent::Applied(read) => self.handle_applied(kind, read),
            KindEvent::Removed(name) => self.handle_removed(kind, name),
        };
        let mut updates: Vec<Update> = update.into_iter().collect();
        let now = self.problems();
        if now != problems {
            updates.push(Update::Problems(now));
        }
        updates.extend(self.health(&failed));
        updates
    }

    fn handle_list(&mut self, kind: Kind, read: Vec<Read>) -> Option<Update> {
        self.failed.remove(&kind);
        self.refused.remove(&kind);
        self.unreadable.retain(|name, _| name.kind != kind);
        let mut before = self.objects.remove(&kind).unwrap_or_default();
        for read in read {
            let name = read.name(kind);
            let before = before.remove(&name);
            self.take(name, read, before);
        }
        if self.unknown.remove(&kind) {
            return self.first();
        }
        let objects = self.objects.get(&kind).into_iter().flatten();
        let objects = objects.map(|(_, known)| known.object().clone()).collect();
        self.report(|| Update::AllOf { kind, objects })
    }

    /// A kind that may not be read is as one without objects, unless objects of it are required or
    /// were known before.
    fn handle_refusal(&mut self, kind: Kind, why: Diagnostic) -> Option<Update> {
        if is_required(kind) || !self.unknown.contains(&kind) {
            self.failed.insert(kind, why);
            return None;
        }
        self.failed.remove(&kind);
        self.refused.insert(kind, why);
        self.unknown.remove(&kind);
        self.first()
    }

    fn handle_applied(&mut self, kind: Kind, read: Read) -> Option<Update> {
        self.failed.remove(&kind);
        let name = read.name(kind);
        self.unreadable.remove(&name);
        let before = self.objects.get_mut(&kind);
        let before = before.and_then(|objects| objects.remove(&name));
        let applied = self.take(name, read, before)?;
        self.report(|| Update::Changes {
            applied: vec![applied],
            removed: Vec::new(),
        })
    }

    fn handle_removed(&mut self, kind: Kind, name: ObjectName) -> Option<Update> {
        self.failed.remove(&kind);
        self.unreadable.remove(&name);
        if let Some(objects) = self.objects.get_mut(&kind) {
            objects.remove(&name);
        }
        self.report(|| Update::Changes {
            applied: Vec::new(),
            removed: vec![name],
        })
    }

    /// Takes a version of an object in; gives it, or what stands in for it, if that is not what counted
    /// `before`.
    fn take(&mut self, name: ObjectName, read: Read, before: Option<Known>) -> Option<Object> {
        let (known, is_new) = match read {
            Read::Object(object) => (Known::Read(object), true),
            Read::Unreadable(unreadable) => {
                let Unreadable {
                    why, replacement, ..
                } = unreadable;
                self.unreadable.insert(name.clone(), why);
                stand_in(name.kind, replacement, before)?
            }
        };
        let object = known.object().clone();
        let objects = self.objects.entry(name.kind).or_default();
        objects.insert(name, known);
        is_new.then_some(object)
    }

    /// What is reported, unless it is part of what is reported at first.
    fn report(&self, update: impl FnOnce() -> Update) -> Option<Update> {
        self.unknown.is_empty().then(update)
    }

    /// All that there is, as soon as all kinds are known.
    fn first(&self) -> Option<Update> {
        let objects = self.objects.values().flatten();
        let objects = objects.map(|(_, known)| known.object().clone());
        self.report(|| Update::All(objects.collect()))
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

/// What counts as an object that cannot be read, and whether it did not before: the version before, or
/// the strictest one possible if there is none or that might let too much through.
fn stand_in(
    kind: Kind,
    replacement: Option<Object>,
    before: Option<Known>,
) -> Option<(Known, bool)> {
    match (before, replacement) {
        (Some(before @ Known::Read(_)), replacement)
            if replacement.is_none() || !closes_at_once(kind) =>
        {
            Some((before, false))
        }
        (_, Some(replacement)) => Some((Known::StandIn(replacement), true)),
        (before, None) => before.map(|before| (before, false)),
    }
}

#[cfg(test)]
mod tests;
