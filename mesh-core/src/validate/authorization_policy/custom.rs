//! What a rule cannot ask when a provider decides: it is evaluated before tokens are, and apart
//! from the identities of peers.

use crate::resource::istio::authorization_policy::{Rule, Source};
use crate::validate::At;

pub(super) fn validate(rule: &Rule, at: At<'_>) {
    at.field("from")
        .each(rule.from.as_deref().unwrap_or_default(), |from, at| {
            if let Some(source) = &from.source {
                validate_source(source, at.field("source"));
            }
        });
    at.field("when").each(&rule.when, |condition, at| {
        let key = condition.key.as_str();
        let about_peer = [
            "source.namespace",
            "source.principal",
            "source.serviceAccount",
            "source.trustDomain",
        ];
        if about_peer.contains(&key) || key.starts_with("request.auth.") {
            at.field("key")
                .error(format_args!("`{key}` is not supported with action CUSTOM"));
        }
    });
}

fn validate_source(source: &Source, at: At<'_>) {
    for (field, values) in [
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
        ("trustDomains", &source.trust_domains),
        ("notTrustDomains", &source.not_trust_domains),
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
    ] {
        if !values.is_empty() {
            at.field(field).error(format_args!(
                "`{field}` is not supported with action CUSTOM"
            ));
        }
    }
}
