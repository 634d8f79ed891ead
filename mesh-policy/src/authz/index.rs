//! Which rules can match at all, found by hashing instead of trying each.
//!
//! A rule is filed under the values of one of its positive conditions: unless the request has one
//! of them, the rule does not match. Of the conditions that qualify, that one is taken whose values
//! the fewest rules share. Rules without such a condition are always tried.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use mesh_core::matcher::StringMatch;

use super::attributes::Facts;
use super::condition::{Condition, PathMatch, Predicate};
use super::peer::{self, PeerMatch};
use super::rule::Rule;

/// Position of a rule in its set.
pub(super) type Position = u32;

/// Prefixes and suffixes that are shorter select nothing: `/`.
const MIN_AFFIX: usize = 2;
/// The longest host that is looked up; rules for hosts are all tried for a longer one.
const MAX_HOST: usize = 255;

/// The rules of a set, by a value that the request needs to have for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    always: Vec<Position>,
    host: TextIndex,
    /// Those of `host`, for hosts that are too long.
    hosts: Vec<Position>,
    method: TextIndex,
    namespace: TextIndex,
    path: TextIndex,
    peer: TextIndex,
    port: HashMap<u16, Vec<Position>, RandomState>,
    issuer: TextIndex,
}

/// A value that a request has, or has not.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Key {
    Host(Text),
    Issuer(Text),
    Method(Text),
    Namespace(Text),
    Path(Text),
    Peer(Text),
    Port(u16),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Text {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

impl Index {
    /// Files the rules under the positions that they have.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let guards: Vec<_> = rules.iter().map(guards).collect();
        let mut shares: HashMap<&Key, usize> = HashMap::new();
        for key in guards.iter().flatten().flatten() {
            *shares.entry(key).or_default() += 1;
        }
        let cost = |keys: &Vec<Key>| keys.iter().map(|key| shares[key]).sum::<usize>();
        let mut index = Self::default();
        for (position, guards) in (0..).zip(&guards) {
            match guards.iter().min_by_key(|keys| cost(keys)) {
                Some(keys) => keys.iter().for_each(|key| index.insert(key, position)),
                None => index.always.push(position),
            }
        }
        index
    }

    fn insert(&mut self, key: &Key, position: Position) {
        match key {
            Key::Host(text) => {
                self.host.insert(text, position);
                self.hosts.push(position);
            }
            Key::Issuer(text) => self.issuer.insert(text, position),
            Key::Method(text) => self.method.insert(text, position),
            Key::Namespace(text) => self.namespace.insert(text, position),
            Key::Path(text) => self.path.insert(text, position),
            Key::Peer(text) => self.peer.insert(text, position),
            Key::Port(port) => self.port.entry(*port).or_default().push(position),
        }
    }

    /// Calls `visit` with the rules that may match, some perhaps more than once.
    pub(super) fn candidates(&self, facts: &Facts<'_>, visit: &mut impl FnMut(&[Position])) {
        visit(&self.always);
        if let Some(ports) = self.port.get(&facts.connection.destination.port()) {
            visit(ports);
        }
        if let Some(peer) = facts.connection.peer {
            self.peer.lookup(peer.as_bytes(), visit);
            if !self.namespace.is_empty() {
                peer::namespaces(peer).for_each(|one| self.namespace.lookup(one.as_bytes(), visit));
            }
        }
        let Some(request) = facts.request else {
            return;
        };
        self.method.lookup(request.method.as_bytes(), visit);
        self.path
            .lookup(facts.path().unwrap_or_default().as_bytes(), visit);
        if let Some(host) = request.host.filter(|_| !self.host.is_empty()) {
            self.host_candidates(host, visit);
        }
        let issuer = request.claims.and_then(|claims| claims.field("iss"));
        if let Some(issuer) = issuer.and_then(|issuer| issuer.as_str()) {
            self.issuer.lookup(issuer.as_bytes(), visit);
        }
    }

    fn host_candidates(&self, host: &[u8], visit: &mut impl FnMut(&[Position])) {
        let mut lower = [0; MAX_HOST];
        let Some(lower) = lower.get_mut(..host.len()) else {
            visit(&self.hosts);
            return;
        };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.host.lookup(lower, visit);
    }
}

/// Rules by a text. Requests look it up and add nothing, so that none of them can make it slow.
type ByText = HashMap<Box<[u8]>, Vec<Position>, RandomState>;

/// Rules by a text that is equal to theirs, or begins or ends with it.
#[derive(Clone, Debug, Default)]
struct TextIndex {
    exact: ByText,
    prefix: Affixes,
    suffix: Affixes,
}

impl TextIndex {
    fn insert(&mut self, text: &Text, position: Position) {
        match text {
            Text::Exact(text) => {
                let rules = self.exact.entry(text.as_bytes().into());
                rules.or_default().push(position);
            }
            Text::Prefix(text) => self.prefix.insert(text, position),
            Text::Suffix(text) => self.suffix.insert(text, position),
        }
    }

    fn is_empty(&self) -> bool {
        let Self {
            exact,
            prefix,
            suffix,
        } = self;
        exact.is_empty() && prefix.rules.is_empty() && suffix.rules.is_empty()
    }

    fn lookup(&self, text: &[u8], visit: &mut impl FnMut(&[Position])) {
        if let Some(rules) = self.exact.get(text).filter(|_| !self.exact.is_empty()) {
            visit(rules);
        }
        for &length in &self.prefix.lengths {
            let Some(affix) = text.get(..length) else {
                break;
            };
            self.prefix.lookup(affix, visit);
        }
        for &length in &self.suffix.lengths {
            let Some(start) = text.len().checked_sub(length) else {
                break;
            };
            self.suffix.lookup(&text[start..], visit);
        }
    }
}

/// Rules by how a text begins, or ends.
#[derive(Clone, Debug, Default)]
struct Affixes {
    /// In ascending order.
    lengths: Vec<usize>,
    rules: ByText,
}

impl Affixes {
    fn insert(&mut self, affix: &str, position: Position) {
        if let Err(place) = self.lengths.binary_search(&affix.len()) {
            self.lengths.insert(place, affix.len());
        }
        let rules = self.rules.entry(affix.as_bytes().into());
        rules.or_default().push(position);
    }

    fn lookup(&self, affix: &[u8], visit: &mut impl FnMut(&[Position])) {
        if let Some(rules) = self.rules.get(affix) {
            visit(rules);
        }
    }
}

/// The sets of keys of which the request needs to have one each.
fn guards(rule: &Rule) -> Vec<Vec<Key>> {
    let mut guards: Vec<_> = rule.conditions.iter().filter_map(keys).collect();
    for alternatives in [&rule.sources, &rule.operations].into_iter().flatten() {
        // The shortest list of each alternative, and all of them together.
        let one_each = alternatives.iter().map(|conditions| {
            let keys = conditions.iter().filter_map(keys);
            keys.min_by_key(Vec::len)
        });
        let together: Option<Vec<_>> = one_each.collect();
        guards.extend(together.map(|keys| keys.concat()));
        // A single alternative is a conjunction like the further conditions.
        if let [conditions] = alternatives.as_slice() {
            guards.extend(conditions.iter().filter_map(keys));
        }
    }
    guards
}

/// The keys of which the request has one if the condition holds; `None` if that is not known.
fn keys(condition: &Condition) -> Option<Vec<Key>> {
    if condition.negated {
        return None;
    }
    match &condition.predicate {
        Predicate::DestinationPort(ports) => {
            Some(ports.iter().map(|port| Key::Port(*port)).collect())
        }
        Predicate::Host(texts) => texts
            .iter()
            .map(|one| text(one, str::to_ascii_lowercase).map(Key::Host))
            .collect(),
        Predicate::Method(texts) => texts
            .iter()
            .map(|one| text(one, str::to_owned).map(Key::Method))
            .collect(),
        Predicate::Path(paths) => paths.iter().map(path_key).collect(),
        Predicate::Peer(peers) => peers.iter().map(peer_key).collect(),
        Predicate::RequestPrincipal(principals) => principals
            .iter()
            .map(|one| text(&one.issuer, str::to_owned).map(Key::Issuer))
            .collect(),
        Predicate::Claim { .. }
        | Predicate::DestinationIp(_)
        | Predicate::Header { .. }
        | Predicate::PathAndQuery(_)
        | Predicate::RemoteIp(_)
        | Predicate::Scheme(_)
        | Predicate::ServerName(_)
        | Predicate::SourceIp(_) => None,
    }
}

fn path_key(path: &PathMatch) -> Option<Key> {
    match path {
        PathMatch::Text(one) => text(one, str::to_owned).map(Key::Path),
        PathMatch::Template(template) => {
            let prefix = template.as_str().split('{').next()?;
            affix(prefix).map(|prefix| Key::Path(Text::Prefix(prefix)))
        }
    }
}

fn peer_key(peer: &PeerMatch) -> Option<Key> {
    match peer {
        PeerMatch::Any | PeerMatch::TrustDomain(_) => None,
        PeerMatch::Uri(uri) => text(uri, str::to_owned).map(Key::Peer),
        PeerMatch::UriSuffix(suffix) => affix(suffix).map(|one| Key::Peer(Text::Suffix(one))),
        PeerMatch::InOrder(pieces) => match &**pieces {
            [segment] => segment_key(segment),
            _ => None,
        },
        PeerMatch::ServiceAccount { namespace, .. } => segment_key(namespace),
    }
}

/// The key of `/ns/NAMESPACE/`.
fn segment_key(segment: &str) -> Option<Key> {
    let namespace = segment.strip_prefix("/ns/")?.strip_suffix('/')?;
    let is_segment = !namespace.contains('/');
    is_segment.then(|| Key::Namespace(Text::Exact(namespace.into())))
}

fn text(text: &StringMatch, form: impl Fn(&str) -> String) -> Option<Text> {
    match text {
        StringMatch::Exact { value, .. } => Some(Text::Exact(form(value).into())),
        StringMatch::Prefix { value, .. } => affix(&form(value)).map(Text::Prefix),
        StringMatch::Suffix { value, .. } => affix(&form(value)).map(Text::Suffix),
        StringMatch::Contains { .. }
        | StringMatch::IntegerRange { .. }
        | StringMatch::NonEmpty
        | StringMatch::Present
        | StringMatch::Regex(_) => None,
    }
}

fn affix(text: &str) -> Option<Box<str>> {
    (text.len() >= MIN_AFFIX).then(|| text.into())
}
