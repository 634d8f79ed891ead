//! Whether two answers agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::exchange::Answer;

/// How many kinds of disagreements are shown.
const SHOWN: usize = 30;

/// Who answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// A service.
    Backend,
    /// The proxy, by a redirect.
    Redirect,
    /// The proxy, since no route matches.
    NoRoute,
    /// The proxy, in another way.
    Proxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Backend, Self::Redirect, Self::NoRoute, Self::Proxy];

    fn of(answer: &Answer) -> Self {
        let is_told = answer.headers.contains_key("x-envoy-upstream-service-time");
        if is_told || seen(&answer.body).is_some() {
            return Self::Backend;
        }
        match answer.status {
            301..=308 => Self::Redirect,
            404 => Self::NoRoute,
            _ => Self::Proxy,
        }
    }
}

/// What was compared, and what did not agree.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: BTreeMap<Kind, usize>,
    statuses: BTreeMap<u16, usize>,
    /// What differed, how often, and where first.
    disagreements: BTreeMap<String, (usize, String)>,
}

impl Tally {
    /// Compares the answers to a request of the configuration of `seed`.
    pub(crate) fn compare(&mut self, seed: u64, request: &str, ours: Answer, theirs: Answer) {
        *self.kinds.entry(Kind::of(&theirs)).or_default() += 1;
        *self.statuses.entry(theirs.status).or_default() += 1;
        let (ours, theirs) = (Comparable::of(ours), Comparable::of(theirs));
        let differences = ours.differences(&theirs);
        if !differences.is_empty() {
            let first = || (0, format!("seed {seed}\n{request}"));
            let found = self.disagreements.entry(differences.join("\n"));
            found.or_insert_with(first).0 += 1;
        }
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.kinds.get(&kind).copied().unwrap_or(0)
    }

    /// How often Envoy answered with `status`.
    pub(crate) fn statuses(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// How often the two did not agree.
    pub(crate) fn disagreements(&self) -> usize {
        self.disagreements.values().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.disagreements();
        writeln!(f, "{found} disagreements, answered by {:?}", self.kinds)?;
        writeln!(f, "with {:?}", self.statuses)?;
        for (differences, (count, first)) in self.disagreements.iter().take(SHOWN) {
            writeln!(f, "{count} times: {differences}\n{first}")?;
        }
        Ok(())
    }
}

/// An answer without what differs from one exchange to the next.
struct Comparable {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    /// The body, if the proxy answered.
    body: Option<String>,
    seen: Option<Seen>,
}

/// A request, as a service saw it.
struct Seen {
    line: [Value; 4],
    headers: BTreeMap<String, Vec<String>>,
}

impl Comparable {
    fn of(answer: Answer) -> Self {
        let mut headers = answer.headers;
        for name in ["date", "x-envoy-upstream-service-time", "x-ratelimit-reset"] {
            // That it is there is compared.
            if let Some(values) = headers.get_mut(name) {
                values.clear();
            }
        }
        let seen = seen(&answer.body);
        let body = seen.is_none().then_some(answer.body);
        Self {
            status: answer.status,
            headers,
            body,
            seen,
        }
    }
}

impl Comparable {
    /// What differs, a line each.
    fn differences(&self, theirs: &Self) -> Vec<String> {
        let Self {
            status,
            headers,
            body,
            seen,
        } = self;
        let mut lines = Vec::new();
        differ(&mut lines, "status", status, &theirs.status);
        differ(&mut lines, "body", body, &theirs.body);
        differ_in_fields(&mut lines, "response", headers, &theirs.headers);
        if let (Some(ours), Some(theirs)) = (seen, &theirs.seen) {
            differ(&mut lines, "line", &ours.line, &theirs.line);
            differ_in_fields(&mut lines, "request", &ours.headers, &theirs.headers);
        }
        lines
    }
}

fn differ<T: fmt::Debug + PartialEq>(lines: &mut Vec<String>, what: &str, ours: &T, theirs: &T) {
    if ours != theirs {
        lines.push(format!("{what}: ours {ours:?}, envoy's {theirs:?}"));
    }
}

/// Fields are compared as lists (RFC 9110, section 5.3): Envoy joins the values of some when it adds
/// one, with a comma and perhaps a blank, and of others not.
fn differ_in_fields(
    lines: &mut Vec<String>,
    what: &str,
    ours: &BTreeMap<String, Vec<String>>,
    theirs: &BTreeMap<String, Vec<String>>,
) {
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let what = format!("{what} field {name}");
        let joined = |fields: &BTreeMap<String, Vec<String>>| {
            let values = fields.get(name)?.iter().map(String::as_str);
            let values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
            Some(values.join(",").replace(", ", ","))
        };
        differ(lines, &what, &joined(ours), &joined(theirs));
    }
}

fn seen(body: &str) -> Option<Seen> {
    let mut seen: Value = serde_json::from_str(body).ok()?;
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for field in seen["headers"].as_array()? {
        let name = field[0].as_str()?.to_owned();
        let value = match field[1].as_str()? {
            id if name == "x-request-id" && id.len() == 36 => "generated",
            // They do not listen at the same one.
            port if name == "x-forwarded-port" && port.parse::<u16>().is_ok() => "its own",
            value => value,
        };
        headers.entry(name).or_default().push(value.to_owned());
    }
    let line = ["backend", "method", "path", "body"].map(|member| seen[member].take());
    Some(Seen { line, headers })
}
