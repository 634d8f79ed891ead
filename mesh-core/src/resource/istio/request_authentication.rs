//! RequestAuthentication: which tokens a workload accepts.
//!
//! Source: messages of `security/v1beta1/request_authentication.proto`; `security.istio.io/v1`
//! and `v1beta1`. The field `presence` came with Istio 1.32.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::request_authentication::RequestAuthentication;
//!
//! let spec: RequestAuthentication = serde_json::from_str(
//!     r#"{
//!         "selector": {"matchLabels": {"app": "cart"}},
//!         "jwtRules": [{
//!             "issuer": "https://login.example.com",
//!             "jwksUri": "https://login.example.com/keys"
//!         }]
//!     }"#,
//! )?;
//!
//! assert_eq!(spec.jwt_rules[0].issuer.as_deref(), Some("https://login.example.com"));
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadSelector};

/// Which tokens workloads accept. A request without a token is let through, unless a rule says
/// that it is [`Required`](TokenPresence::Required).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAuthentication {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace. Exclusive with `target_ref` and `target_refs`.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// Resource that the policy is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    /// Resources that the policy is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Tokens that are accepted, each by any of the rules.
    #[serde(skip_serializing_if = "is_default")]
    pub jwt_rules: Vec<JwtRule>,
}

/// Tokens of one issuer. One of `issuer` and `jwks_uri` has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtRule {
    /// The claim `iss`, exactly.
    #[serde(skip_serializing_if = "is_default")]
    pub issuer: Option<String>,
    /// Audiences of which the claim `aud` has to have one. Default: any.
    #[serde(skip_serializing_if = "is_default")]
    pub audiences: Vec<String>,
    /// Where the keys of the issuer are. Default: as its OpenID configuration says.
    #[serde(alias = "jwks_uri", skip_serializing_if = "is_default")]
    pub jwks_uri: Option<String>,
    /// The keys of the issuer themselves, as a JSON Web Key Set.
    #[serde(skip_serializing_if = "is_default")]
    pub jwks: Option<String>,
    /// Headers that may hold a token. Default, if no other place is named either: `Authorization`
    /// after `Bearer `, and the query parameter `access_token`.
    #[serde(skip_serializing_if = "is_default")]
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that may hold a token.
    #[serde(skip_serializing_if = "is_default")]
    pub from_params: Vec<String>,
    /// Header that passes the claims on, in Base64. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub output_payload_to_header: String,
    /// Cookies that may hold a token.
    #[serde(skip_serializing_if = "is_default")]
    pub from_cookies: Vec<String>,
    /// Passes the token on. Default: false, it is removed.
    #[serde(skip_serializing_if = "is_default")]
    pub forward_original_token: bool,
    /// Headers that pass single claims on.
    #[serde(skip_serializing_if = "is_default")]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// How long fetching the keys may take. Default: 5 s.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// Claims that hold a list with spaces between, beside `scope` and `permission`.
    #[serde(skip_serializing_if = "is_default")]
    pub space_delimited_claims: Vec<String>,
    /// Whether a request has to have the token.
    #[serde(skip_serializing_if = "is_default")]
    pub presence: TokenPresence,
}

/// Whether a request has to have a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TokenPresence {
    /// It may be missing, but if it is there it has to be valid.
    #[default]
    Optional,
    /// It has to be there and valid.
    Required,
}

/// A header that may hold a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtHeader {
    /// Name of the header. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// What stands before the token, spaces included. Default: nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub prefix: String,
}

/// A header that passes a claim on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// Name of the header. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub header: String,
    /// Name of the claim, with dots between the names of nested ones. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub claim: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_rule_with_every_place_for_a_token_is_read_whole() {
        let spec: RequestAuthentication = round_trip(&json!({
            "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"},
            ],
            "jwtRules": [{
                "issuer": "https://login.example.com",
                "audiences": ["cart", "shop"],
                "jwks": "{\"keys\":[]}",
                "fromHeaders": [{"name": "x-token", "prefix": "JWT "}],
                "fromParams": ["token"],
                "fromCookies": ["session"],
                "outputPayloadToHeader": "x-claims",
                "forwardOriginalToken": true,
                "outputClaimToHeaders": [{"header": "x-group", "claim": "user.group"}],
                "timeout": "2s",
                "spaceDelimitedClaims": ["roles"],
                "presence": "REQUIRED",
            }],
        }));

        let rule = &spec.jwt_rules[0];
        assert_eq!(rule.from_headers[0].prefix, "JWT ");
        assert_eq!(rule.timeout, Some(Duration::from_secs(2)));
        assert_eq!(rule.presence, TokenPresence::Required);
        assert_eq!(spec.target_refs[0].name, "web");
    }

    #[test]
    fn the_older_spelling_of_the_key_location_is_read() {
        for field in ["jwksUri", "jwks_uri"] {
            let rule: JwtRule = serde_json::from_value(json!({field: "https://a/keys"})).unwrap();
            assert_eq!(rule.jwks_uri.as_deref(), Some("https://a/keys"), "{field}");
        }
    }
}
