//! What a request is counted as: Envoy's rate-limit descriptors, and the actions that make them.
//!
//! A [`RateLimitRule`] (Envoy's `RateLimit` of a route or virtual host) makes one [`Descriptor`] of
//! a request, an entry for each of its actions, in order. Where an action has nothing to say, as
//! when the header that it names is absent, the rule makes none.
//!
//! Source: `config.route.v3.RateLimit` and `source/common/router/router_ratelimit.cc` of Envoy.
//!
//! # Example
//!
//! ```
//! use http::{HeaderName, Request};
//! use mesh_policy::rate_limit::descriptor::{Action, RateLimitRule};
//!
//! # fn main() -> Result<(), http::Error> {
//! let rule = RateLimitRule::new([
//!     Action::GenericKey { key: "generic_key".into(), value: "books".into() },
//!     Action::RequestHeader {
//!         name: HeaderName::from_static("x-user"),
//!         key: "user".into(),
//!         skip_if_absent: false,
//!     },
//! ]);
//! let (jason, ()) = Request::get("/").header("x-user", "jason").body(())?.into_parts();
//! let descriptor = rule.descriptor(&jason).expect("the header is there");
//! assert_eq!(descriptor.to_string(), "(generic_key=books, user=jason)");
//!
//! let (nobody, ()) = Request::get("/").body(())?.into_parts();
//! assert!(rule.descriptor(&nobody).is_none());
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::fmt;

use http::header::HOST;
use http::{HeaderName, request};
use mesh_core::attributes::{ClientAddress, MatchedRoute};
use mesh_core::matcher::StringMatch;
use mesh_core::service::ClusterName;

/// A key and its value, see [`Descriptor`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Entry {
    /// A key and its value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        Self { key, value }
    }
}

/// What a request is counted as. Requests with equal descriptors are counted together.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Descriptor {
    /// The entries, whose order matters.
    pub entries: Vec<Entry>,
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, Entry { key, value }) in self.entries.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{key}={value}")?;
        }
        f.write_str(")")
    }
}

/// Makes an entry of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The name of the cluster that the request goes to, as `destination_cluster`.
    DestinationCluster,
    /// The same for every request.
    GenericKey {
        /// The key; Envoy's default is `generic_key`.
        key: String,
        /// The value.
        value: String,
    },
    /// The same for every request whose headers are as they should be.
    HeaderValueMatch {
        /// The key; Envoy's default is `header_match`.
        key: String,
        /// The value.
        value: String,
        /// Whether the conditions have to hold, or not all of them may.
        expect_match: bool,
        /// The conditions.
        headers: Vec<HeaderCondition>,
    },
    /// The address of [the client](ClientAddress::of), as `remote_address`.
    RemoteAddress,
    /// The first value of a header.
    RequestHeader {
        /// The header.
        name: HeaderName,
        /// The key.
        key: String,
        /// Whether an absent header makes no entry, but does not keep the others from counting.
        skip_if_absent: bool,
    },
    /// A part of the request that HTTP/2 puts into a pseudo-header.
    RequestPseudoHeader {
        /// The part.
        field: Field,
        /// The key.
        key: String,
    },
    /// The cluster that the request comes from, as `source_cluster`: the name that Envoy was started
    /// with (`--service-cluster`).
    SourceCluster(String),
}

/// A condition on a part of the head of a request (Envoy's `HeaderMatcher`).
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderCondition {
    /// The part. Of a header that is there several times the values are joined by commas.
    pub field: Field,
    /// What it has to be.
    pub value: StringMatch,
    /// Whether the condition is negated. Default: no.
    pub invert: bool,
    /// Whether what is absent counts as empty. Default: no, so that it fails the condition and the
    /// negated one, too, unless that is [`StringMatch::Present`].
    pub missing_as_empty: bool,
}

impl HeaderCondition {
    /// `field` has to be as `value` says.
    pub fn new(field: Field, value: StringMatch) -> Self {
        Self {
            field,
            value,
            invert: false,
            missing_as_empty: false,
        }
    }

    fn holds(&self, request: &request::Parts) -> bool {
        let found = self.field.whole(request);
        let empty = self.missing_as_empty.then_some(Cow::Borrowed(&[][..]));
        let found = found.or(empty);
        match (&self.value, found) {
            (StringMatch::Present, found) => found.is_some() != self.invert,
            (value, Some(found)) => value.is_match_bytes(&found) != self.invert,
            (_, None) => false,
        }
    }
}

/// A part of the head of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Field {
    /// `:authority`
    Authority,
    /// A header.
    Header(HeaderName),
    /// `:method`
    Method,
    /// `:path`, with the query
    Path,
}

impl Field {
    /// The part that `name` stands for in Envoy's configuration, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::Path,
            name => Self::Header(name.parse().ok()?),
        })
    }

    fn of<'a>(&self, request: &'a request::Parts) -> Option<&'a [u8]> {
        match self {
            Self::Authority => match request.uri.authority() {
                Some(authority) => Some(authority.as_str().as_bytes()),
                None => Some(request.headers.get(HOST)?.as_bytes()),
            },
            Self::Header(name) => Some(request.headers.get(name)?.as_bytes()),
            Self::Method => Some(request.method.as_str().as_bytes()),
            Self::Path => Some(request.uri.path_and_query()?.as_str().as_bytes()),
        }
    }

    /// The part, with all values of a header.
    fn whole<'a>(&self, request: &'a request::Parts) -> Option<Cow<'a, [u8]>> {
        let first = Cow::Borrowed(self.of(request)?);
        let Self::Header(name) = self else {
            return Some(first);
        };
        let further = request.headers.get_all(name).iter().skip(1);
        Some(further.fold(first, |mut whole, value| {
            whole.to_mut().push(b',');
            whole.to_mut().extend_from_slice(value.as_bytes());
            whole
        }))
    }
}

impl Action {
    /// Adds the entry of `request`. Returns whether the rule goes on.
    fn append(&self, request: &request::Parts, entries: &mut Vec<Entry>) -> bool {
        let entry = match self {
            Self::DestinationCluster => {
                let matched = request.extensions.get::<MatchedRoute>();
                let cluster = matched.and_then(MatchedRoute::cluster);
                cluster.map(|name| Entry::new("destination_cluster", ClusterName::as_str(name)))
            }
            Self::GenericKey { key, value } => Some(Entry::new(key, value)),
            Self::HeaderValueMatch {
                key,
                value,
                expect_match,
                headers,
            } => {
                let holds = headers.iter().all(|condition| condition.holds(request));
                (holds == *expect_match).then(|| Entry::new(key, value))
            }
            Self::RemoteAddress => {
                let client = ClientAddress::of(&request.extensions);
                client.map(|client| {
                    let address = client.ip().to_canonical();
                    Entry::new("remote_address", address.to_string())
                })
            }
            Self::RequestHeader {
                name,
                key,
                skip_if_absent,
            } => {
                let Some(value) = request.headers.get(name) else {
                    return *skip_if_absent;
                };
                Some(Entry::new(key, String::from_utf8_lossy(value.as_bytes())))
            }
            Self::RequestPseudoHeader { field, key } => field
                .of(request)
                .map(|value| Entry::new(key, String::from_utf8_lossy(value))),
            Self::SourceCluster(name) => Some(Entry::new("source_cluster", name)),
        };
        entries.extend(entry.clone());
        entry.is_some()
    }
}

/// Makes a descriptor of a request: an entry for each action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateLimitRule {
    actions: Vec<Action>,
    /// Filters of another stage do not see the rule.
    stage: u32,
}

impl RateLimitRule {
    /// A rule of stage 0.
    pub fn new(actions: impl IntoIterator<Item = Action>) -> Self {
        let actions = actions.into_iter().collect();
        Self { actions, stage: 0 }
    }

    /// Sets the stage.
    #[must_use]
    pub fn with_stage(mut self, stage: u32) -> Self {
        self.stage = stage;
        self
    }

    /// The stage of the filters that see it.
    pub fn stage(&self) -> u32 {
        self.stage
    }

    /// The descriptor of `request`. `None` if an action has nothing to say.
    pub fn descriptor(&self, request: &request::Parts) -> Option<Descriptor> {
        let mut entries = Vec::with_capacity(self.actions.len());
        let whole = self
            .actions
            .iter()
            .all(|action| action.append(request, &mut entries));
        (whole && !entries.is_empty()).then_some(Descriptor { entries })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use mesh_core::attributes::ConnectionInfo;
    use mesh_core::model::route::{Route, RouteMatch};

    use super::*;

    fn made(action: Action) -> Option<String> {
        let route = Route::forward(
            "cart",
            RouteMatch::prefix("/"),
            ClusterName::from("cart-cluster"),
        );
        let connection = ConnectionInfo {
            peer: "[::ffff:192.0.2.7]:4711".parse().unwrap(),
            local: "192.0.2.1:80".parse().unwrap(),
            tls: None,
        };
        let request = Request::post("http://shop.example/cart?x=1")
            .header("x-user", "jason")
            .extension(MatchedRoute::new(Arc::new(route), 0))
            .extension(connection);
        let (request, ()) = request.body(()).unwrap().into_parts();
        let descriptor = RateLimitRule::new([action]).descriptor(&request);
        descriptor.map(|descriptor| descriptor.to_string())
    }

    #[test]
    fn each_action_makes_its_entry() {
        let pseudo = |name: &str| Action::RequestPseudoHeader {
            field: Field::parse(name).unwrap(),
            key: "k".into(),
        };
        let header = |name| Action::RequestHeader {
            name: HeaderName::from_static(name),
            key: "k".into(),
            skip_if_absent: false,
        };
        let matched = |value: &str, expect_match| Action::HeaderValueMatch {
            key: "header_match".into(),
            value: "v".into(),
            expect_match,
            headers: vec![HeaderCondition::new(
                Field::parse("X-User").unwrap(),
                StringMatch::exact(value),
            )],
        };
        for (action, expected) in [
            (
                Action::DestinationCluster,
                Some("(destination_cluster=cart-cluster)"),
            ),
            (Action::RemoteAddress, Some("(remote_address=192.0.2.7)")),
            (
                Action::SourceCluster("istio-proxy".into()),
                Some("(source_cluster=istio-proxy)"),
            ),
            (pseudo(":path"), Some("(k=/cart?x=1)")),
            (pseudo(":method"), Some("(k=POST)")),
            (pseudo(":authority"), Some("(k=shop.example)")),
            (header("x-user"), Some("(k=jason)")),
            (header("x-other"), None),
            (matched("jason", true), Some("(header_match=v)")),
            (matched("jason", false), None),
            (matched("other", true), None),
            (matched("other", false), Some("(header_match=v)")),
        ] {
            assert_eq!(made(action.clone()).as_deref(), expected, "{action:?}");
        }
    }

    #[test]
    fn conditions_on_headers_are_those_of_envoy() {
        let (request, ()) = Request::get("/")
            .header("x-a", "1")
            .header("x-a", "2")
            .body(())
            .unwrap()
            .into_parts();
        let (first, both) = (StringMatch::exact("1"), StringMatch::exact("1,2"));
        let (empty, present) = (StringMatch::exact(""), StringMatch::Present);
        for (name, value, invert, missing_as_empty, expected) in [
            ("x-a", &both, false, false, true),
            ("x-a", &first, false, false, false),
            ("x-a", &first, true, false, true),
            ("x-b", &first, true, false, false),
            ("x-b", &first, true, true, true),
            ("x-b", &empty, false, true, true),
            ("x-a", &present, false, false, true),
            ("x-b", &present, false, false, false),
            ("x-b", &present, true, false, true),
        ] {
            let condition = HeaderCondition {
                invert,
                missing_as_empty,
                ..HeaderCondition::new(Field::parse(name).unwrap(), value.clone())
            };
            assert_eq!(condition.holds(&request), expected, "{condition:?}");
        }
    }

    #[test]
    fn clients_of_one_trusted_proxy_are_counted_each_for_itself() {
        let rule = RateLimitRule::new([Action::RemoteAddress]);
        let of = |client: [u8; 4]| {
            let connection = ConnectionInfo {
                peer: "10.0.0.1:4711".parse().unwrap(),
                local: "10.0.0.2:80".parse().unwrap(),
                tls: None,
            };
            let request = Request::get("/")
                .extension(connection)
                .extension(ClientAddress(client.into()));
            let (request, ()) = request.body(()).unwrap().into_parts();
            rule.descriptor(&request).unwrap().to_string()
        };
        assert_eq!(of([192, 0, 2, 7]), "(remote_address=192.0.2.7)");
        assert_eq!(of([192, 0, 2, 8]), "(remote_address=192.0.2.8)");
    }

    #[test]
    fn an_absent_header_may_be_skipped() {
        let header = |name, skip_if_absent| Action::RequestHeader {
            name: HeaderName::from_static(name),
            key: name.into(),
            skip_if_absent,
        };
        let (request, ()) = Request::get("/")
            .header("x-b", "1")
            .body(())
            .unwrap()
            .into_parts();
        for (skip, expected) in [(true, Some("(x-b=1)")), (false, None)] {
            let rule = RateLimitRule::new([header("x-a", skip), header("x-b", false)]);
            let descriptor = rule.descriptor(&request).map(|made| made.to_string());
            assert_eq!(descriptor.as_deref(), expected);
        }
        let nothing = RateLimitRule::new([header("x-a", true)]);
        assert_eq!(nothing.descriptor(&request), None, "no entry at all");
    }
}
