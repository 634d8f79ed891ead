//! Rules and matches that no request gets to.
//!
//! The first rule that matches decides, so that a rule after one without matches is never used, and
//! a match that an earlier one covers has no effect (`analyzeUnreachableHTTPRules` and its like;
//! messages IST0130 and IST0131 of `istioctl analyze`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::diagnostic::Severity;
use crate::resource::istio::string_match::StringMatch;
use crate::resource::istio::virtual_service::{
    HttpMatchRequest, HttpRoute, L4MatchAttributes, TcpRoute, TlsMatchAttributes, TlsRoute,
    VirtualService,
};
use crate::validate::{At, ViolationKind};

/// Reports rules and matches of `service` that have no effect.
pub(super) fn validate(service: &VirtualService, at: At<'_>) {
    check_rules(&service.http, at.field("http"));
    check_prefixes(&service.http, at.field("http"));
    check_rules(&service.tls, at.field("tls"));
    check_rules(&service.tcp, at.field("tcp"));
}

/// A rule with matches, any of which is enough.
trait Rule {
    type Match: PartialEq;

    fn matches(&self) -> &[Self::Match];

    /// Name of the rule, empty when it has none.
    fn name(&self) -> &str;

    /// Name of one of its matches, empty when it has none.
    fn match_name(matcher: &Self::Match) -> &str;

    /// A text that equal matches share, so that few matches have to be compared.
    fn digest(matcher: &Self::Match) -> &str;

    /// Whether two matches match the same requests.
    fn is_same(left: &Self::Match, right: &Self::Match) -> bool;
}

impl Rule for HttpRoute {
    type Match = HttpMatchRequest;

    fn matches(&self) -> &[HttpMatchRequest] {
        &self.r#match
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn match_name(matcher: &HttpMatchRequest) -> &str {
        &matcher.name
    }

    fn digest(matcher: &HttpMatchRequest) -> &str {
        let uri = matcher.uri.as_ref();
        let value = uri.and_then(|uri| {
            [&uri.exact, &uri.prefix, &uri.regex]
                .into_iter()
                .flatten()
                .next()
        });
        value.map_or("", String::as_str)
    }

    fn is_same(left: &HttpMatchRequest, right: &HttpMatchRequest) -> bool {
        if left.name == right.name {
            return left == right;
        }
        let name = left.name.clone();
        *left
            == HttpMatchRequest {
                name,
                ..right.clone()
            }
    }
}

impl Rule for TlsRoute {
    type Match = TlsMatchAttributes;

    fn matches(&self) -> &[TlsMatchAttributes] {
        &self.r#match
    }

    fn name(&self) -> &str {
        ""
    }

    fn match_name(_: &TlsMatchAttributes) -> &str {
        ""
    }

    fn digest(matcher: &TlsMatchAttributes) -> &str {
        matcher.sni_hosts.first().map_or("", String::as_str)
    }

    fn is_same(left: &TlsMatchAttributes, right: &TlsMatchAttributes) -> bool {
        left == right
    }
}

impl Rule for TcpRoute {
    type Match = L4MatchAttributes;

    fn matches(&self) -> &[L4MatchAttributes] {
        &self.r#match
    }

    fn name(&self) -> &str {
        ""
    }

    fn match_name(_: &L4MatchAttributes) -> &str {
        ""
    }

    fn digest(matcher: &L4MatchAttributes) -> &str {
        matcher
            .destination_subnets
            .first()
            .map_or("", String::as_str)
    }

    fn is_same(left: &L4MatchAttributes, right: &L4MatchAttributes) -> bool {
        left == right
    }
}

/// A rule or match as it is called in messages: by its name, else by its number from 0.
struct Called<'a> {
    name: &'a str,
    index: usize,
}

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "" => write!(f, "#{}", self.index),
            name => write!(f, "`{name}`"),
        }
    }
}

fn check_rules<R: Rule>(rules: &[R], at: At<'_>) {
    let call = |index: usize| Called {
        name: rules.get(index).map_or("", R::name),
        index,
    };
    let mut seen: HashMap<&str, Vec<(&R::Match, usize)>> = HashMap::new();
    let mut catch_all = None;
    for (index, rule) in rules.iter().enumerate() {
        let at = at.index(index);
        let matches = rule.matches();
        if matches.is_empty() {
            if catch_all.is_some() {
                unreachable(&call(index), "only the last rule can have no matches", at);
            }
            catch_all = Some(index);
            continue;
        }
        let at_matches = at.field("match");
        let mut duplicates = 0;
        for (number, matcher) in matches.iter().enumerate() {
            let at = at_matches.index(number);
            if catch_all.is_some() {
                unreachable(&call(index), "a rule before it has no matches", at);
                continue;
            }
            let similar = seen.entry(R::digest(matcher)).or_default();
            match similar.iter().find(|(other, _)| R::is_same(matcher, other)) {
                Some((_, earlier)) => {
                    duplicates += 1;
                    let name = R::match_name(matcher);
                    let matcher = Called {
                        name,
                        index: number,
                    };
                    let other = format!("rule {} has the same", call(*earlier));
                    ineffective(&call(index), &matcher, &other, at);
                }
                None => similar.push((matcher, index)),
            }
        }
        if duplicates == matches.len() {
            unreachable(&call(index), "rules before it have all its matches", at);
        }
    }
}

fn unreachable(rule: &Called<'_>, reason: &str, at: At<'_>) {
    let message = format_args!("rule {rule} is never used: {reason}");
    at.report(Severity::Warning, ViolationKind::UnreachableRule, &message);
}

fn ineffective(rule: &Called<'_>, matcher: &Called<'_>, reason: &str, at: At<'_>) {
    let message = format_args!("match {matcher} of rule {rule} has no effect: {reason}");
    at.report(Severity::Warning, ViolationKind::IneffectiveMatch, &message);
}

/// A match of a path's prefix, and what else it asks for.
struct PrefixMatch<'a> {
    rule: Called<'a>,
    number: usize,
    request: &'a HttpMatchRequest,
}

/// Reports matches of a prefix that begins with the prefix of an earlier match.
///
/// Rules after one without matches are unreachable, which is reported already.
fn check_prefixes(routes: &[HttpRoute], at: At<'_>) {
    let mut seen: HashMap<&str, Vec<PrefixMatch<'_>>> = HashMap::new();
    let reachable = routes.iter().take_while(|route| !route.r#match.is_empty());
    for (index, route) in reachable.enumerate() {
        let rule_at = at.index(index);
        let at = rule_at.field("match");
        for (number, request) in route.r#match.iter().enumerate() {
            let uri = request.uri.as_ref();
            let Some(prefix) = uri
                .and_then(|uri| uri.prefix.as_deref())
                .filter(|p| !p.is_empty())
            else {
                continue;
            };
            let shorter = prefix
                .char_indices()
                .filter_map(|(end, _)| seen.get(&prefix[..end]));
            for earlier in shorter
                .flatten()
                .filter(|earlier| covers(earlier.request, request))
            {
                let name = route.r#match[number].name.as_str();
                let matcher = Called {
                    name,
                    index: number,
                };
                let rule = Called {
                    name: &route.name,
                    index,
                };
                let name = earlier.request.name.as_str();
                let other = Called {
                    name,
                    index: earlier.number,
                };
                let reason = format!(
                    "match {other} of rule {} has a shorter prefix",
                    earlier.rule
                );
                ineffective(&rule, &matcher, &reason, at.index(number));
            }
            let rule = Called {
                name: &route.name,
                index,
            };
            seen.entry(prefix).or_default().push(PrefixMatch {
                rule,
                number,
                request,
            });
        }
    }
}

/// Whether a match of a shorter prefix lets nothing through to one of a longer prefix
/// (`coveredValidation`): Istio compares the remaining conditions as texts.
fn covers(broad: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    broad.port == narrow.port
        && Condition::of_method(broad).begins_with(Condition::of_method(narrow))
        && Condition::of(broad.authority.as_ref())
            .begins_with(Condition::of(narrow.authority.as_ref()))
        && all_begin_with(&broad.headers, &narrow.headers)
        && all_begin_with(&broad.query_params, &narrow.query_params)
        && all_begin_with(&broad.without_headers, &narrow.without_headers)
}

fn all_begin_with(
    broad: &BTreeMap<String, StringMatch>,
    narrow: &BTreeMap<String, StringMatch>,
) -> bool {
    broad.len() == narrow.len()
        && broad.iter().all(|(name, broad)| {
            let narrow = narrow.get(name);
            narrow.is_some_and(|narrow| {
                Condition::of(Some(broad)).begins_with(Condition::of(Some(narrow)))
            })
        })
}

/// What a string has to be, as far as matches are compared.
#[derive(Clone, Copy)]
enum Condition<'m> {
    Any,
    Exact(&'m str),
    Prefix(&'m str),
}

impl<'m> Condition<'m> {
    fn of(matcher: Option<&'m StringMatch>) -> Self {
        let exact = matcher.and_then(|matcher| matcher.exact.as_deref());
        let prefix = matcher.and_then(|matcher| matcher.prefix.as_deref());
        let is_set = |text: &&str| !text.is_empty();
        let (exact, prefix) = (exact.filter(is_set), prefix.filter(is_set));
        match (exact, prefix) {
            (Some(exact), _) => Self::Exact(exact),
            (None, Some(prefix)) => Self::Prefix(prefix),
            (None, None) => Self::Any,
        }
    }

    /// Istio takes a match of any method for one of `GET`.
    fn of_method(request: &'m HttpMatchRequest) -> Self {
        match Self::of(request.method.as_ref()) {
            Self::Any => Self::Exact("GET"),
            condition => condition,
        }
    }

    fn begins_with(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Any) => true,
            (Self::Exact(text), Self::Exact(start)) | (Self::Prefix(text), Self::Prefix(start)) => {
                text.starts_with(start)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{read, run};

    #[track_caller]
    fn assert_findings(http: &serde_json::Value, expected: &[(&str, &str)]) {
        let service = read(json!({"http": http}));
        let violations = run(|at| validate(&service, at));
        let found: Vec<_> = violations
            .iter()
            .map(|v| (v.code(), v.origin.path()))
            .collect();
        assert_eq!(found, expected, "{http}");
    }

    #[test]
    fn nothing_is_reached_after_a_rule_without_matches() {
        assert_findings(&json!([{"name": "all"}]), &[]);
        assert_findings(
            &json!([{"match": [{"port": 1}]}, {}, {"match": [{"port": 2}]}, {}]),
            &[("IST0130", "http[2].match[0]"), ("IST0130", "http[3]")],
        );
    }

    #[test]
    fn a_match_that_was_there_before_has_no_effect() {
        let uri = json!({"exact": "/a"});
        assert_findings(
            &json!([
                {"match": [{"uri": uri, "name": "first"}]},
                {"match": [{"uri": uri, "name": "second"}, {"uri": {"exact": "/b"}}]},
                {"match": [{"uri": {"exact": "/b"}}]},
            ]),
            &[
                ("IST0131", "http[1].match[0]"),
                ("IST0131", "http[2].match[0]"),
                ("IST0130", "http[2]"),
            ],
        );
    }

    #[test]
    fn a_prefix_covers_the_longer_ones_after_it() {
        let route = |prefix: &str| json!({"match": [{"uri": {"prefix": prefix}}]});
        assert_findings(&json!([route("/a/b"), route("/a")]), &[]);
        assert_findings(
            &json!([route("/a"), route("/a/b"), route("/b")]),
            &[("IST0131", "http[1].match[0]")],
        );
    }

    #[test]
    fn other_conditions_keep_a_prefix_from_covering() {
        let first = json!({"uri": {"prefix": "/a"}});
        for (condition, covered) in [
            (json!({"port": 80}), false),
            (json!({"method": {"exact": "POST"}}), false),
            (json!({"method": {"exact": "GET"}}), true),
            (json!({"headers": {"x": {"exact": "1"}}}), false),
            (json!({"authority": {"exact": "a"}}), false),
        ] {
            let mut second = condition.clone();
            second["uri"] = json!({"prefix": "/a/b"});
            let service = read(json!({"http": [{"match": [first]}, {"match": [second]}]}));
            let violations = run(|at| validate(&service, at));
            assert_eq!(violations.len(), usize::from(covered), "{condition}");
        }
    }

    #[test]
    fn tls_and_tcp_rules_are_looked_at_as_well() {
        let service = read(json!({
            "tls": [{"match": [{"sniHosts": ["a"]}]}, {"match": [{"sniHosts": ["a"]}]}],
            "tcp": [{}, {"match": [{"port": 1}]}],
        }));
        let violations = run(|at| validate(&service, at));
        let codes: Vec<_> = violations
            .iter()
            .map(|violation| violation.code())
            .collect();
        assert_eq!(codes, ["IST0131", "IST0130", "IST0130"]);
    }
}
