//! Identities and trust domains.

use std::collections::BTreeSet;

use mesh_core::identity::{ServiceAccount, SpiffeId, TrustDomain, TrustDomains};
use serde_json::Value;

use super::{Row, Run};
use crate::case::Outcome;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("spiffe_test.go", "TestExpandWithTrustDomains") => Some(expand),
        ("spiffe_test.go", "TestGenSpiffeURI") => Some(identity),
        ("spiffe_test.go", "TestIdentity") => Some(service_account),
        ("trustdomain_test.go", "TestTrustDomainID") => Some(trust_domain_id),
        _ => None,
    }
}

/// Texts that are no SPIFFE IDs are left as they are.
fn expand(row: &Row<'_>) -> Option<Outcome> {
    let wanted: BTreeSet<String> = row.field("want")?.as_object()?.keys().cloned().collect();
    let mut domains = row
        .texts("trustDomains")?
        .into_iter()
        .map(str::parse::<TrustDomain>);
    let mut found = BTreeSet::new();
    let domains = match domains.next() {
        None => None,
        Some(first) => {
            let local = TrustDomains::new(first.ok()?);
            Some(domains.try_fold(local, |all, domain| Some(all.with_alias(domain.ok()?)))?)
        }
    };
    for uri in row.texts("spiffeURI")? {
        found.insert(uri.to_owned());
        if let (Some(domains), Ok(id)) = (&domains, uri.parse::<SpiffeId>()) {
            found.extend(domains.expand(&id).map(String::from));
        }
    }
    Some(Outcome::equal(&wanted, &found))
}

/// The identity of a service account, both of whose names have to be there.
fn identity(row: &Row<'_>) -> Option<Outcome> {
    let domain: TrustDomain = row.text("trustDomain")?.parse().ok()?;
    let account = ServiceAccount {
        namespace: row.text("namespace")?,
        name: row.text("serviceAccount")?,
    };
    let id = SpiffeId::from_service_account(&domain, account);
    Some(match row.text("expectedError")? {
        "" => Outcome::equal(
            &Ok(row.text("expectedURI")?.to_owned()),
            &id.map(String::from),
        ),
        _ => Outcome::refusal(true, &id),
    })
}

fn service_account(row: &Row<'_>) -> Option<Outcome> {
    let input = row.text("input")?;
    let id = input.parse::<SpiffeId>();
    let found = id.as_ref().ok().and_then(|id| {
        let account = id.service_account()?;
        Some((
            id.trust_domain().to_string(),
            account.namespace.to_owned(),
            account.name.to_owned(),
        ))
    });
    let expected = match row.field("expected") {
        None => None,
        Some(expected) => {
            let expected = Row(expected);
            let text = |name| expected.text(name).map(str::to_owned);
            Some((
                text("TrustDomain")?,
                text("Namespace")?,
                text("ServiceAccount")?,
            ))
        }
    };
    // Istio reads identities with empty parts, which the SPIFFE standard forbids.
    if expected
        .as_ref()
        .is_some_and(|(_, namespace, name)| namespace.is_empty() || name.is_empty())
    {
        return Some(Outcome::unsupported(
            "no SPIFFE ID: a path segment is empty",
        ));
    }
    Some(Outcome::equal(&expected, &found))
}

fn trust_domain_id(row: &Row<'_>) -> Option<Outcome> {
    let domain = row
        .field("value")
        .and_then(Value::as_str)?
        .parse::<TrustDomain>();
    let id = domain.map(|domain| domain.id().to_string());
    Some(Outcome::equal(&Ok("spiffe://trustdomain".to_owned()), &id))
}
