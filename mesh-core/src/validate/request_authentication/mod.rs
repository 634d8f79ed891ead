//! Rules of RequestAuthentication (`ValidateRequestAuthentication`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::RequestAuthentication;
//! use mesh_core::resource::istio::request_authentication::JwtRule;
//! use mesh_core::validate::{Report, request_authentication};
//!
//! let mut resource = Resource::<RequestAuthentication>::default();
//! resource.spec.jwt_rules = vec![JwtRule::default()];
//! let report = Report::default();
//! request_authentication::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "an `issuer` or a `jwksUri` is required");
//! ```

mod json;
mod jwks;

use http::HeaderName;

use super::selector::Attachment;
use super::url::Url;
use super::{At, duration};
use crate::header;
use crate::resource::Resource;
use crate::resource::istio::request_authentication::{
    ClaimToHeader, JwtRule, RequestAuthentication,
};

/// The most rules, and claims of a rule that are divided at spaces.
const MAX_RULES: usize = 4096;
const MAX_CLAIMS: usize = 64;

/// The longest URL of keys.
const MAX_URL_LEN: usize = 2048;

/// Checks a RequestAuthentication.
pub fn validate(resource: &Resource<RequestAuthentication>, at: At<'_>) {
    let RequestAuthentication {
        selector,
        target_ref,
        target_refs,
        jwt_rules,
    } = &resource.spec;
    let at = at.field("spec");
    let attachment = Attachment {
        selector: selector.as_ref(),
        target_ref: target_ref.as_ref(),
        target_refs,
    };
    attachment.validate(at);
    let rules = at.field("jwtRules");
    if jwt_rules.len() > MAX_RULES {
        rules.error(format_args!("more than {MAX_RULES} rules"));
    }
    rules.each(jwt_rules, validate_rule);
}

/// Checks which tokens a rule accepts (`validateJwtRule`).
fn validate_rule(rule: &JwtRule, at: At<'_>) {
    validate_keys(rule, at);
    for (field, values) in [
        ("audiences", &rule.audiences),
        ("fromParams", &rule.from_params),
        ("fromCookies", &rule.from_cookies),
        ("spaceDelimitedClaims", &rule.space_delimited_claims),
    ] {
        at.field(field).each(values, |value, at| {
            at.require(!value.is_empty(), "a value cannot be empty");
        });
    }
    if rule.space_delimited_claims.len() > MAX_CLAIMS {
        at.field("spaceDelimitedClaims")
            .error(format_args!("more than {MAX_CLAIMS} claims"));
    }
    at.field("fromHeaders")
        .each(&rule.from_headers, |header, at| {
            validate_location(&header.name, at.field("name"));
        });
    at.field("outputClaimToHeaders")
        .each(&rule.output_claim_to_headers, validate_claim);
    duration::validate_optional(rule.timeout, at.field("timeout"));
}

/// Checks the name of a header that may hold a token.
///
/// Istio asks only that there is one, and accepts what is none; no request has such a header, so
/// that no token is found there.
fn validate_location(name: &str, at: At<'_>) {
    if name.is_empty() {
        at.error("the header has a name");
    } else if HeaderName::try_from(name).is_err() {
        at.warning(format_args!(
            "`{name}` is not a header name, so that no token is found"
        ))
        .help("a name has letters, digits and `-`; what stands before the token is its `prefix`");
    }
}

fn validate_claim(claim_to_header: &ClaimToHeader, at: At<'_>) {
    let ClaimToHeader { header, claim } = claim_to_header;
    at.field("header")
        .check(header::validate_strict_name(header));
    at.field("claim")
        .require(!claim.is_empty(), "a claim is required");
}

/// Checks where the keys come from.
fn validate_keys(rule: &JwtRule, at: At<'_>) {
    let issuer = rule.issuer.as_deref();
    let uri = rule.jwks_uri.as_deref().filter(|uri| !uri.is_empty());
    let jwks = rule.jwks.as_deref().filter(|jwks| !jwks.is_empty());
    if issuer.is_none_or(str::is_empty) && uri.is_none() {
        at.error("an `issuer` or a `jwksUri` is required");
    } else if issuer == Some("") {
        at.field("issuer").error("an issuer cannot be empty");
    } else if rule.jwks_uri.as_deref() == Some("") {
        at.field("jwksUri").error("a URL cannot be empty");
    }
    at.at_most_one(&[("jwks", rule.jwks.is_some()), ("jwksUri", uri.is_some())]);
    if let Some(uri) = uri {
        validate_jwks_uri(uri, at.field("jwksUri"));
    }
    if let Some(jwks) = jwks {
        jwks::validate(jwks, at.field("jwks"));
    }
}

/// Checks the URL of keys (`security.ParseJwksURI`).
fn validate_jwks_uri(uri: &str, at: At<'_>) {
    if uri.len() > MAX_URL_LEN {
        at.error(format_args!("a URL is longer than {MAX_URL_LEN} bytes"));
    }
    match Url::parse(uri) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {}
        Ok(_) => {
            at.error(format_args!(
                "`{uri}` is neither an `http` nor an `https` URL"
            ));
        }
        Err(error) => {
            at.error(error);
        }
    }
}

#[cfg(test)]
mod tests;
