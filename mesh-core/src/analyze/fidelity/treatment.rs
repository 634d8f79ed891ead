use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Capabilities, Capability};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Treatment {
    /// It does what Istio's does.
    Enforced(Capability),
    /// It is acted on, and not quite as in Istio.
    Differently(Capability, &'static str),
    /// It says nothing to a data plane of this kind.
    NotApplicable(&'static str),
    /// It should be acted on, and is not.
    Unsupported(Lack),
}

/// Why a field is not acted on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Lack {
    /// The embedder has not composed what enforces it.
    NotComposed(Capability),
    /// The embedder serves nothing that needs it.
    Withheld(Capability),
    /// Nothing in these libraries enforces it.
    NotBuilt(&'static str),
}

impl Treatment {
    /// Whether the field is acted on, if differently.
    pub const fn is_enforced(self) -> bool {
        matches!(self, Self::Enforced(_) | Self::Differently(..))
    }

    /// Whether the field should be acted on, and is not.
    pub const fn is_unsupported(self) -> bool {
        matches!(self, Self::Unsupported(_))
    }

    /// One of `enforced`, `differently`, `not applicable` and `unsupported`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced(_) => "enforced",
            Self::Differently(..) => "differently",
            Self::NotApplicable(_) => "not applicable",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enforced(capability) => write!(f, "enforced by {capability}"),
            Self::Differently(capability, note) => {
                write!(f, "enforced differently by {capability}: {note}")
            }
            Self::NotApplicable(note) => write!(f, "not applicable: {note}"),
            Self::Unsupported(lack) => write!(f, "unsupported: {lack}"),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotComposed(capability) => write!(f, "nothing here does {capability}"),
            Self::Withheld(capability) => write!(f, "what needs {capability} is not served here"),
            Self::NotBuilt(note) => f.write_str(note),
        }
    }
}

/// Writes `treatment`, and `by` or `note` where there is one.
impl Serialize for Treatment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("treatment", self.name())?;
        match self {
            Self::Enforced(capability) => map.serialize_entry("by", capability)?,
            Self::Differently(capability, note) => {
                map.serialize_entry("by", capability)?;
                map.serialize_entry("note", note)?;
            }
            Self::NotApplicable(note) => map.serialize_entry("note", note)?,
            Self::Unsupported(lack) => map.serialize_entry("note", &lack.to_string())?,
        }
        map.end()
    }
}

/// What it would take to act on a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Support {
    By(Capability),
    /// As `By`, of a field that guards nothing on its own: it says how, and another one says that.
    Aids(Capability),
    Differently(Capability, &'static str),
    NotApplicable(&'static str),
    Never {
        note: &'static str,
        is_guard: bool,
    },
}

impl Support {
    /// Nothing acts on it.
    pub(super) const fn never(note: &'static str) -> Self {
        let is_guard = false;
        Self::Never { note, is_guard }
    }

    /// Nothing acts on it, and without it somebody could do what the configuration forbids.
    pub(super) const fn never_guards(note: &'static str) -> Self {
        let is_guard = true;
        Self::Never { note, is_guard }
    }

    pub(super) fn treatment(self, capabilities: &Capabilities) -> Treatment {
        let lack = |capability| match capabilities.withholds(capability) {
            true => Treatment::Unsupported(Lack::Withheld(capability)),
            false => Treatment::Unsupported(Lack::NotComposed(capability)),
        };
        match self {
            Self::By(capability) | Self::Aids(capability) if capabilities.enforces(capability) => {
                Treatment::Enforced(capability)
            }
            Self::Differently(capability, note) if capabilities.enforces(capability) => {
                Treatment::Differently(capability, note)
            }
            Self::By(capability) | Self::Aids(capability) | Self::Differently(capability, _) => {
                lack(capability)
            }
            Self::NotApplicable(note) => Treatment::NotApplicable(note),
            Self::Never { note, .. } => Treatment::Unsupported(Lack::NotBuilt(note)),
        }
    }

    /// Whether a field of this kind that is ignored would open what the configuration closes.
    pub(super) const fn is_guard(self) -> bool {
        match self {
            Self::By(capability) | Self::Differently(capability, _) => capability.is_guard(),
            Self::Aids(_) | Self::NotApplicable(_) => false,
            Self::Never { is_guard, .. } => is_guard,
        }
    }
}

impl From<Capability> for Support {
    fn from(capability: Capability) -> Self {
        Self::By(capability)
    }
}
