//! What the server of Kubernetes says of a service account's token.
//!
//! A `TokenReview` of [`authenticate`](super) sends the token to the server, and gives what
//! comes back to [`ServiceAccountToken::from_token_review`], which asks of it what istiod asks
//! (`security/pkg/k8s/tokenreview`). Nothing here calls the server.
//!
//! # Example
//!
//! ```
//! use mesh_tls::ca::token_review::ServiceAccountToken;
//!
//! let review = br#"{"status": {
//!     "authenticated": true,
//!     "audiences": ["istio-ca"],
//!     "user": {
//!         "username": "system:serviceaccount:shop:cart",
//!         "groups": ["system:serviceaccounts", "system:serviceaccounts:shop"]
//!     }
//! }}"#;
//! // The audiences that the review asked for.
//! let token = ServiceAccountToken::from_token_review(review, &["istio-ca"])?;
//! let id = token.id(&"cluster.local".parse()?)?;
//! assert_eq!(id.as_str(), "spiffe://cluster.local/ns/shop/sa/cart");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use mesh_core::identity::{ParseSpiffeIdError, ServiceAccount, SpiffeId, TrustDomain};
use serde::Deserialize;

/// The group of all service accounts.
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// Entries of `extra` that say which pod a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Whose a token is, by the word of Kubernetes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceAccountToken {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// Name of the pod that the token is bound to; empty if it is bound to none.
    pub pod_name: String,
    /// What tells that pod from others of the same name; empty if there is none.
    pub pod_uid: String,
}

impl ServiceAccountToken {
    /// Reads a TokenReview that the server has answered, in JSON.
    ///
    /// `audiences` are those that the review asked for (`spec.audiences`), of which the answer has to name
    /// one: a server that knows nothing of audiences accepts tokens that are for somebody else. Without
    /// any, whatever the server accepts is for its own audience.
    ///
    /// # Errors
    ///
    /// When it is no TokenReview, the server could not review the token or does not accept it, or
    /// the token is for another audience, or not one of a service account.
    pub fn from_token_review(json: &[u8], audiences: &[&str]) -> Result<Self, TokenReviewError> {
        let TokenReview { status } =
            serde_json::from_slice(json).map_err(|_| TokenReviewError::Malformed)?;
        let Status {
            authenticated,
            audiences: accepted,
            error,
            user,
        } = status;
        if !error.is_empty() {
            return Err(TokenReviewError::Server { message: error });
        }
        if !authenticated {
            return Err(TokenReviewError::NotAuthenticated);
        }
        let is_accepted = |audience: &&str| accepted.iter().any(|accepted| accepted == audience);
        if !audiences.is_empty() && !audiences.iter().any(is_accepted) {
            return Err(TokenReviewError::Audience { accepted });
        }
        if !user.groups.iter().any(|group| group == SERVICE_ACCOUNTS) {
            return Err(TokenReviewError::NoServiceAccount);
        }
        let parts: Vec<&str> = user.username.split(':').collect();
        let ["system", "serviceaccount", namespace, service_account] = parts[..] else {
            let username = user.username;
            return Err(TokenReviewError::Username { username });
        };
        let extra = |name| user.extra.get(name).and_then(|values| values.first());
        Ok(Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod_name: extra(POD_NAME).cloned().unwrap_or_default(),
            pod_uid: extra(POD_UID).cloned().unwrap_or_default(),
        })
    }

    /// The identity of the service account.
    ///
    /// # Errors
    ///
    /// When namespace or name may not be part of a SPIFFE ID.
    pub fn id(&self, trust_domain: &TrustDomain) -> Result<SpiffeId, ParseSpiffeIdError> {
        let account = ServiceAccount {
            namespace: &self.namespace,
            name: &self.service_account,
        };
        SpiffeId::from_service_account(trust_domain, account)
    }

    /// What the token proves: the identity of the service account, and the pod that it is bound to, where
    /// its name and uid are both known.
    ///
    /// # Errors
    ///
    /// Those of [`id`](Self::id).
    pub fn reviewed(&self, trust_domain: &TrustDomain) -> Result<Reviewed, ParseSpiffeIdError> {
        let is_bound = !self.pod_name.is_empty() && !self.pod_uid.is_empty();
        Ok(Reviewed {
            id: self.id(trust_domain)?,
            pod: is_bound.then(|| BoundPod {
                name: self.pod_name.clone(),
                uid: self.pod_uid.clone(),
            }),
        })
    }
}

/// What a token proves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reviewed {
    /// Whose it is.
    pub id: SpiffeId,
    /// The pod that it is bound to, of the namespace of its service account.
    pub pod: Option<BoundPod>,
}

impl From<SpiffeId> for Reviewed {
    /// A token that is bound to no pod.
    fn from(id: SpiffeId) -> Self {
        Self { id, pod: None }
    }
}

/// The pod that a token is bound to: the token counts for as long as that is there.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct BoundPod {
    /// Its name.
    pub name: String,
    /// What tells it from others of that name, before it and after it.
    pub uid: String,
}

#[derive(Deserialize)]
struct TokenReview {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    audiences: Vec<String>,
    error: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Why a token proves no identity.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenReviewError {
    /// The server says of none of the audiences that were asked for that the token is for it.
    #[error("the token is for none of the audiences that were asked for")]
    Audience {
        /// Those that it says the token is for. A server that knows nothing of audiences says none.
        accepted: Vec<String>,
    },
    /// The answer is no TokenReview.
    #[error("the answer is no TokenReview")]
    Malformed,
    /// The token is not one of a service account.
    #[error("the token is not one of a service account")]
    NoServiceAccount,
    /// The server does not accept the token.
    #[error("the token is not authenticated")]
    NotAuthenticated,
    /// The server could not review the token.
    #[error("the token was not reviewed: {message}")]
    Server {
        /// What it says.
        message: String,
    },
    /// The name of the user is not that of a service account.
    #[error("`{username}` is not the name of a service account")]
    Username {
        /// The name.
        username: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(status: &Value) -> Result<ServiceAccountToken, TokenReviewError> {
        let review = json!({"kind": "TokenReview", "status": status});
        ServiceAccountToken::from_token_review(review.to_string().as_bytes(), &[])
    }

    #[test]
    fn a_token_bound_to_a_pod_names_it() {
        let token = read(&json!({
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:shop:cart",
                "groups": ["system:authenticated", "system:serviceaccounts"],
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["cart-7"],
                    "authentication.kubernetes.io/pod-uid": ["0c2f"],
                },
            },
        }));
        let expected = ServiceAccountToken {
            namespace: "shop".into(),
            service_account: "cart".into(),
            pod_name: "cart-7".into(),
            pod_uid: "0c2f".into(),
        };
        assert_eq!(token, Ok(expected));
    }

    #[test]
    fn a_token_is_bound_to_a_pod_whose_name_and_uid_are_known() {
        let domain = "cluster.local".parse().unwrap();
        for (pod_name, pod_uid, is_bound) in [
            ("cart-7", "0c2f", true),
            ("cart-7", "", false),
            ("", "0c2f", false),
            ("", "", false),
        ] {
            let token = ServiceAccountToken {
                namespace: "shop".into(),
                service_account: "cart".into(),
                pod_name: pod_name.into(),
                pod_uid: pod_uid.into(),
            };
            let reviewed = token.reviewed(&domain).unwrap();
            assert_eq!(reviewed.id, token.id(&domain).unwrap());
            let pod = reviewed.pod.map(|pod| (pod.name, pod.uid));
            let bound = (pod_name.to_owned(), pod_uid.to_owned());
            assert_eq!(pod, is_bound.then_some(bound));
        }
    }

    #[test]
    fn what_is_not_a_service_account_of_the_server_is_refused() {
        let user = |username: &str, group: &str| {
            json!({
                "authenticated": true,
                "user": {"username": username, "groups": [group]},
            })
        };
        let cases = [
            (
                json!({"authenticated": true, "error": "expired"}),
                "the token was not reviewed: expired",
            ),
            (
                json!({"authenticated": false}),
                "the token is not authenticated",
            ),
            (
                user("system:serviceaccount:shop:cart", "system:authenticated"),
                "the token is not one of a service account",
            ),
            (
                user("system:serviceaccount:cart", SERVICE_ACCOUNTS),
                "`system:serviceaccount:cart` is not the name of a service account",
            ),
            (
                user("system:node:shop:cart", SERVICE_ACCOUNTS),
                "`system:node:shop:cart` is not the name of a service account",
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(read(&status).unwrap_err().to_string(), expected);
        }
        let malformed = ServiceAccountToken::from_token_review(b"{}", &[]);
        assert_eq!(malformed, Err(TokenReviewError::Malformed));
    }

    #[test]
    fn of_the_audiences_that_were_asked_for_one_has_to_come_back() {
        let answer = |audiences: &[&str]| {
            let status = json!({
                "authenticated": true,
                "audiences": audiences,
                "user": {
                    "username": "system:serviceaccount:shop:cart",
                    "groups": [SERVICE_ACCOUNTS],
                },
            });
            json!({"status": status}).to_string()
        };
        let cases: [(&[&str], &[&str], bool); 6] = [
            (&["istio-ca"], &["istio-ca"], true),
            (&["istio-ca", "other"], &["vault", "other"], true),
            (&["istio-ca"], &["vault"], false),
            (&["istio-ca"], &[], false),
            (&[], &["https://kubernetes.default.svc"], true),
            (&[], &[], true),
        ];
        for (asked, accepted, is_proven) in cases {
            let review = answer(accepted);
            let token = ServiceAccountToken::from_token_review(review.as_bytes(), asked);
            let accepted = accepted.iter().map(ToString::to_string).collect();
            let refused = Err(TokenReviewError::Audience { accepted });
            match is_proven {
                true => assert!(token.is_ok(), "{asked:?}"),
                false => assert_eq!(token, refused, "{asked:?}"),
            }
        }
    }
}
