//! Messages in Envoy's configuration, field by field, so that none is overlooked.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use mesh_core::percent::Percent;
use mesh_core::resource::Value;

/// Why a patch is not enforced.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unsupported {
    /// It is of no shape that is known.
    #[error("only the rate limits that Istio documents are supported")]
    Patch,
    /// A field is not known, or its value is not as it has to be.
    #[error("the field `{0}` is not supported, or not with this value")]
    Field(String),
    /// It names a port, and that of the listener is not known.
    #[error("it is for the port {0}, and ports are not told from each other here")]
    Port(u32),
    /// It is about routes, and none are known.
    #[error("it is for routes, and none are told from each other here")]
    Routes,
}

/// The fields of a message. Names may be in snake case or in camel case, as in protobuf's JSON.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a BTreeMap<String, Value>,
    read: BTreeSet<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a BTreeMap<String, Value>) -> Self {
        let read = BTreeSet::new();
        Self { map, read }
    }

    /// The value of a field that is neither absent nor null.
    pub(super) fn value(&mut self, name: &str) -> Option<&'a Value> {
        for name in [name.to_owned(), camel(name)] {
            if let Some(value) = self.map.get(&name) {
                self.read.insert(name);
                return Some(value).filter(|value| **value != Value::Null);
            }
        }
        None
    }

    /// A field that changes nothing here.
    pub(super) fn ignore(&mut self, name: &str) {
        self.value(name);
    }

    pub(super) fn map(&mut self, name: &str) -> Result<Option<Self>, Unsupported> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let map = value.as_map().ok_or_else(|| unsupported(name))?;
        Ok(Some(Self::new(map)))
    }

    /// The messages of a repeated field.
    pub(super) fn maps(&mut self, name: &str) -> Result<Vec<Self>, Unsupported> {
        let Some(value) = self.value(name) else {
            return Ok(Vec::new());
        };
        let Value::List(items) = value else {
            return Err(unsupported(name));
        };
        let maps = items.iter().map(|item| item.as_map().map(Self::new));
        maps.collect::<Option<_>>().ok_or_else(|| unsupported(name))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<&'a str>, Unsupported> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        value.as_str().map(Some).ok_or_else(|| unsupported(name))
    }

    /// A text that says what a `T` says.
    pub(super) fn parse<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Unsupported> {
        let text = self.text(name)?.map(str::parse);
        text.transpose().map_err(|_| unsupported(name))
    }

    /// `true` or `false`; the latter if it is absent.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Unsupported> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    pub(super) fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, Unsupported> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        value.as_bool().map(Some).ok_or_else(|| unsupported(name))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>, Unsupported> {
        let number = self.integer(name)?.map(u32::try_from);
        number.transpose().map_err(|_| unsupported(name))
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Unsupported> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::Integer(number)) => Some(*number),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| unsupported(name))
    }

    /// A duration in protobuf's JSON: seconds with a fraction and `s`.
    pub(super) fn duration(&mut self, name: &str) -> Result<Option<Duration>, Unsupported> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let seconds = text.strip_suffix('s').and_then(|text| text.parse().ok());
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        duration.map(Some).ok_or_else(|| unsupported(name))
    }

    /// A share of the requests (`RuntimeFractionalPercent`); what the runtime key says cannot be
    /// known, and is the default.
    pub(super) fn share(&mut self, name: &str) -> Result<Option<Percent>, Unsupported> {
        let Some(mut share) = self.map(name)? else {
            return Ok(None);
        };
        share.ignore("runtime_key");
        let mut fraction = share
            .map("default_value")?
            .ok_or_else(|| unsupported(name))?;
        let numerator = f64::from(fraction.number("numerator")?.unwrap_or(0));
        let percent = match fraction.text("denominator")?.unwrap_or("HUNDRED") {
            "HUNDRED" => numerator,
            "TEN_THOUSAND" => numerator / 100.0,
            "MILLION" => numerator / 10_000.0,
            _ => return Err(unsupported("denominator")),
        };
        fraction.finish()?;
        share.finish()?;
        // More than everything is everything.
        Ok(Percent::new(percent.min(100.0)).ok())
    }

    /// The type of a message of any type, without its prefix, and its fields.
    pub(super) fn typed_config(&mut self, name: &str) -> Result<(&'a str, Self), Unsupported> {
        let mut config = self.map(name)?.ok_or(Unsupported::Patch)?;
        let kind = config.text("@type")?.ok_or_else(|| unsupported("@type"))?;
        let kind = without_prefix(kind);
        if !matches!(kind, "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct") {
            return Ok((kind, config));
        }
        let kind = config
            .text("type_url")?
            .ok_or_else(|| unsupported("type_url"))?;
        let value = config.map("value")?.ok_or_else(|| unsupported("value"))?;
        config.finish()?;
        Ok((without_prefix(kind), value))
    }

    /// Refuses a field that has not been read.
    pub(super) fn finish(self) -> Result<(), Unsupported> {
        let mut rest = self
            .map
            .iter()
            .filter(|(name, value)| !self.read.contains(*name) && **value != Value::Null);
        match rest.next() {
            Some((name, _)) => Err(unsupported(name)),
            None => Ok(()),
        }
    }
}

pub(super) fn unsupported(name: &str) -> Unsupported {
    Unsupported::Field(name.to_owned())
}

fn without_prefix(kind: &str) -> &str {
    kind.strip_prefix("type.googleapis.com/").unwrap_or(kind)
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
