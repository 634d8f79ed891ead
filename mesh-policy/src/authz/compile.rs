//! From rules as written to compiled ones (`pilot/pkg/security/authz/model/model.go`, whose
//! `checkError` says what becomes of a value that is invalid).
//!
//! An ALLOW rule with a value that is invalid, a key that is unknown, or a field that a TCP connection
//! does not have, is left out, so that it allows nothing. In a DENY, AUDIT or CUSTOM rule, only that
//! value or field is left out, as in Istio. A field of which no value is left no longer restricts the
//! rule, which applies to more. But where other values of the field are left, the rule applies to
//! those alone: a DENY of `ipBlocks: [10.0.0.0/8, 192.168.0.0/164]` does not deny 192.168.0.0. The
//! notice says which it is; `mesh_core::validate` refuses invalid addresses before they get here.

use std::sync::Arc;

use mesh_core::identity::TrustDomains;
use mesh_core::resource::istio::authorization_policy::{
    self as written, Condition as When, Operation, Source,
};

use super::condition::Condition;
use super::field::{Kind, Values, predicate};
use super::rule::{Rule, RuleName};

/// Why a value or a field cannot be enforced.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unenforceable {
    /// TCP connections have no such attribute; expected, and not reported.
    #[error("`{0}` is of HTTP requests only")]
    HttpOnly(Box<str>),
    #[error("`{value}` is no value of `{field}`")]
    Invalid {
        field: Box<str>,
        value: Box<str>,
        /// Whether other values of the field are valid.
        others: bool,
    },
    #[error("`{0}` is not an attribute that is known here")]
    UnknownKey(Box<str>),
}

/// What a rule is compiled for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// Whether the rule allows, so that it must not become wider.
    pub(super) allows: bool,
    pub(super) tcp: bool,
    pub(super) domains: &'a TrustDomains,
    /// Of the policy.
    pub(super) namespace: &'a str,
}

/// A rule, and what of it cannot be enforced. No rule: it never matches.
pub(super) fn compile(
    rule: &written::Rule,
    name: Arc<RuleName>,
    target: Target<'_>,
) -> (Option<Rule>, Vec<Unenforceable>) {
    let mut compiler = Compiler {
        target,
        faults: Vec::new(),
    };
    let written::Rule { from, to, when } = rule;
    let conditions = when.iter().flat_map(|when| compiler.when(when)).collect();
    let sources = compiler.alternatives(from.as_deref(), |compiler, from| {
        let written::From { source } = from;
        source
            .as_ref()
            .map_or_else(Vec::new, |source| compiler.source(source))
    });
    let operations = compiler.alternatives(to.as_deref(), |compiler, to| {
        let written::To { operation } = to;
        let operation = operation.as_ref();
        operation.map_or_else(Vec::new, |operation| compiler.operation(operation))
    });
    let rule = Rule {
        name,
        conditions,
        sources,
        operations,
    };
    let is_left_out = target.allows && !compiler.faults.is_empty();
    ((!is_left_out).then_some(rule), compiler.faults)
}

struct Compiler<'a> {
    target: Target<'a>,
    faults: Vec<Unenforceable>,
}

impl Compiler<'_> {
    fn alternatives<T>(
        &mut self,
        list: Option<&[T]>,
        mut compile: impl FnMut(&mut Self, &T) -> Vec<Condition>,
    ) -> Option<Vec<Vec<Condition>>> {
        let list = list.filter(|list| !list.is_empty())?;
        Some(list.iter().map(|one| compile(self, one)).collect())
    }

    fn source(&mut self, source: &Source) -> Vec<Condition> {
        let Source {
            principals,
            not_principals,
            request_principals,
            not_request_principals,
            namespaces,
            not_namespaces,
            service_accounts,
            not_service_accounts,
            ip_blocks,
            not_ip_blocks,
            remote_ip_blocks,
            not_remote_ip_blocks,
            trust_domains,
            not_trust_domains,
        } = source;
        let fields = [
            ("principals", Kind::Principal, principals, not_principals),
            (
                "requestPrincipals",
                Kind::RequestPrincipal,
                request_principals,
                not_request_principals,
            ),
            ("namespaces", Kind::Namespace, namespaces, not_namespaces),
            (
                "serviceAccounts",
                Kind::ServiceAccount,
                service_accounts,
                not_service_accounts,
            ),
            ("ipBlocks", Kind::SourceIp, ip_blocks, not_ip_blocks),
            (
                "remoteIpBlocks",
                Kind::RemoteIp,
                remote_ip_blocks,
                not_remote_ip_blocks,
            ),
            (
                "trustDomains",
                Kind::TrustDomain,
                trust_domains,
                not_trust_domains,
            ),
        ];
        self.fields(fields)
    }

    fn operation(&mut self, operation: &Operation) -> Vec<Condition> {
        let Operation {
            hosts,
            not_hosts,
            ports,
            not_ports,
            methods,
            not_methods,
            paths,
            not_paths,
        } = operation;
        self.fields([
            ("hosts", Kind::Host, hosts, not_hosts),
            ("methods", Kind::Method, methods, not_methods),
            ("paths", Kind::Path, paths, not_paths),
            ("ports", Kind::Port, ports, not_ports),
        ])
    }

    fn when(&mut self, when: &When) -> Vec<Condition> {
        let When {
            key,
            values,
            not_values,
        } = when;
        match Kind::of_key(key) {
            Ok(kind) => self.fields([(key.as_str(), kind, values, not_values)]),
            Err(fault) => {
                self.faults.push(fault);
                Vec::new()
            }
        }
    }

    fn fields<const N: usize>(
        &mut self,
        fields: [(&str, Kind, &Vec<String>, &Vec<String>); N],
    ) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (field, kind, values, not_values) in fields {
            for (negated, values) in [(false, values), (true, not_values)] {
                conditions.extend(self.condition(field, &kind, values, negated));
            }
        }
        conditions
    }

    fn condition(
        &mut self,
        field: &str,
        kind: &Kind,
        values: &[String],
        negated: bool,
    ) -> Option<Condition> {
        if values.is_empty() {
            return None;
        }
        if self.target.tcp && kind.is_http_only() {
            self.faults.push(Unenforceable::HttpOnly(field.into()));
            return None;
        }
        let mut valid = Values {
            field,
            faults: &mut self.faults,
            values,
        };
        let predicate = predicate(kind, &mut valid, self.target)?;
        Some(Condition {
            field: field.into(),
            values: values.into(),
            negated,
            predicate,
        })
    }
}
