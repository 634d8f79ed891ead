//! Where requests come from.

use super::validate_no_empty;
use crate::matcher::Cidr;
use crate::resource::istio::authorization_policy::Source;
use crate::validate::At;
use crate::validate::address::is_ip;

/// The most service accounts of a source.
const MAX_ACCOUNTS: usize = 16;

/// The longest name of a service account with its namespace.
const MAX_ACCOUNT_LEN: usize = 320;

pub(super) fn validate(source: &Source, at: At<'_>) {
    if *source == Source::default() {
        at.error("a source cannot be empty");
    }
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
    for (field, values) in [
        ("principals", principals),
        ("notPrincipals", not_principals),
        ("requestPrincipals", request_principals),
        ("notRequestPrincipals", not_request_principals),
        ("namespaces", namespaces),
        ("notNamespaces", not_namespaces),
    ] {
        validate_no_empty(values, at.field(field));
    }
    for (field, values) in [
        ("ipBlocks", ip_blocks),
        ("notIpBlocks", not_ip_blocks),
        ("remoteIpBlocks", remote_ip_blocks),
        ("notRemoteIpBlocks", not_remote_ip_blocks),
    ] {
        validate_ip_blocks(values, at.field(field));
    }
    for (field, values) in [
        ("serviceAccounts", service_accounts),
        ("notServiceAccounts", not_service_accounts),
    ] {
        validate_accounts(values, at.field(field));
    }
    for (field, values) in [
        ("trustDomains", trust_domains),
        ("notTrustDomains", not_trust_domains),
    ] {
        validate_trust_domains(values, at.field(field));
    }
    let has_accounts = !service_accounts.is_empty() || !not_service_accounts.is_empty();
    let mut others = [principals, not_principals, namespaces, not_namespaces].into_iter();
    if has_accounts && others.any(|values| !values.is_empty()) {
        at.error("service accounts stand for namespaces and principals, and exclude them");
    }
}

/// Whether the source has an attribute that a TCP connection has.
pub(super) fn applies_to_tcp(source: &Source) -> bool {
    let lists = [
        &source.principals,
        &source.not_principals,
        &source.namespaces,
        &source.not_namespaces,
        &source.service_accounts,
        &source.not_service_accounts,
        &source.ip_blocks,
        &source.not_ip_blocks,
        &source.remote_ip_blocks,
        &source.not_remote_ip_blocks,
    ];
    lists.into_iter().any(|values| !values.is_empty())
}

/// Checks addresses and ranges (`security.ValidateIPs`).
pub(super) fn validate_ip_blocks(blocks: &[String], at: At<'_>) {
    at.each(blocks, |block, at| {
        if !is_ip(block) {
            at.check(block.parse::<Cidr>().map(drop));
        }
    });
}

/// Checks service accounts, `namespace/account` or `account` (`security.CheckServiceAccount`).
pub(super) fn validate_accounts(accounts: &[String], at: At<'_>) {
    if accounts.len() > MAX_ACCOUNTS {
        at.error(format_args!("more than {MAX_ACCOUNTS} service accounts"));
    }
    at.each(accounts, |account, at| {
        let mut parts = account.split('/');
        if account.contains('*') {
            at.error(format_args!("service account `{account}` has a wildcard"));
        } else if parts.clone().count() > 2 || parts.any(str::is_empty) {
            at.error(format_args!(
                "`{account}` is neither `account` nor `namespace/account`"
            ));
        } else if account.len() > MAX_ACCOUNT_LEN {
            at.error(format_args!(
                "a service account has at most {MAX_ACCOUNT_LEN} bytes"
            ));
        }
    });
}

/// Checks trust domains, which have no slash (`security.CheckTrustDomainValues`).
fn validate_trust_domains(domains: &[String], at: At<'_>) {
    validate_wildcards(domains, at);
    at.each(domains, |domain, at| {
        if domain.contains('/') {
            at.error(format_args!("trust domain `{domain}` has a slash"));
        }
    });
}

/// Checks texts with one wildcard at most, at an end (`security.CheckWildcardValues`).
pub(super) fn validate_wildcards(values: &[String], at: At<'_>) {
    validate_no_empty(values, at);
    at.each(values, |value, at| {
        let stars = value.matches('*').count();
        let is_at_end = value.starts_with('*') || value.ends_with('*');
        if stars > 1 || (stars == 1 && !is_at_end) {
            at.error(format_args!(
                "`{value}` has a wildcard that is not at one of its ends"
            ));
        }
    });
}
