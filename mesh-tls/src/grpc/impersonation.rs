//! Who may ask for the certificates of others.

use std::collections::BTreeSet;
use std::fmt;

use mesh_core::identity::{ServiceAccount, SpiffeId};

use crate::ca::authenticate::Caller;

/// Says who may ask for the certificates of others: metadata `ImpersonatedIdentity`, by which ztunnel
/// asks for those of the workloads of its node.
///
/// [`NodeImpersonation`] allows what istiod allows.
pub trait Impersonation: Send + Sync {
    /// Whether `caller` may have a certificate of `identity`.
    fn is_allowed(&self, caller: &Caller, identity: &SpiffeId) -> bool;
}

/// A pod, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pod {
    /// What tells it from others of its name (`metadata.uid`).
    pub uid: String,
    /// The name of its service account (`spec.serviceAccountName`).
    pub service_account: String,
    /// The name of its node (`spec.nodeName`); empty while it has none.
    pub node: String,
}

/// The pods of the cluster that callers are of, as they are now. What is asked is asked while a request
/// waits for it: answer from memory.
pub trait Pods: Send + Sync {
    /// The pod of this namespace and name.
    fn pod(&self, namespace: &str, name: &str) -> Option<Pod>;

    /// Whether a pod of the service account is on the node.
    fn has_account(&self, node: &str, account: ServiceAccount<'_>) -> bool;
}

/// Lets agents of nodes have the certificates of the workloads that run beside them, as istiod's node
/// authorizer does (`security/pkg/server/ca/node_auth.go`).
///
/// The caller has to be of a trusted account, with a token that is bound to its pod, and that pod has to
/// be there and be of this account. What it asks for has to be the identity of a service account of
/// which a pod runs on the same node. Beyond istiod, it has to be of the caller's trust domain.
///
/// # Example
///
/// ```
/// use mesh_core::identity::{ServiceAccount, SpiffeId};
/// use mesh_tls::ca::authenticate::{Caller, Proof};
/// use mesh_tls::ca::token_review::BoundPod;
/// use mesh_tls::grpc::{Impersonation, NodeImpersonation, Pod, Pods};
///
/// /// One node, with ztunnel and a pod of `shop/cart`.
/// struct Node;
///
/// impl Pods for Node {
///     fn pod(&self, namespace: &str, name: &str) -> Option<Pod> {
///         let ztunnel = Pod { uid: "7".into(), service_account: "ztunnel".into(), node: "a".into() };
///         (namespace == "istio-system" && name == "ztunnel-x").then_some(ztunnel)
///     }
///
///     fn has_account(&self, node: &str, account: ServiceAccount<'_>) -> bool {
///         node == "a" && account == ServiceAccount { namespace: "shop", name: "cart" }
///     }
/// }
///
/// let nodes = NodeImpersonation::new("istio-system/ztunnel", Node)?;
/// let ztunnel = Caller {
///     id: "spiffe://cluster.local/ns/istio-system/sa/ztunnel".parse()?,
///     proof: Proof::Token,
///     pod: Some(BoundPod { name: "ztunnel-x".into(), uid: "7".into() }),
/// };
/// let [cart, users] = ["cart", "users"]
///     .map(|name| format!("spiffe://cluster.local/ns/shop/sa/{name}"));
/// assert!(nodes.is_allowed(&ztunnel, &cart.parse()?));
/// assert!(!nodes.is_allowed(&ztunnel, &users.parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct NodeImpersonation<P> {
    /// Namespaces and names.
    accounts: BTreeSet<(String, String)>,
    pods: P,
}

impl<P: Pods> NodeImpersonation<P> {
    /// Trusts these accounts, in the form of istiod's `CA_TRUSTED_NODE_ACCOUNTS`:
    /// `NAMESPACE/NAME`, with commas between them. None at all trusts nobody.
    ///
    /// # Errors
    ///
    /// When one is not of that form.
    pub fn new(accounts: &str, pods: P) -> Result<Self, TrustedAccountError> {
        let written = accounts.split(',').map(str::trim);
        let accounts = written.filter(|account| !account.is_empty()).map(account);
        Ok(Self {
            accounts: accounts.collect::<Result<_, _>>()?,
            pods,
        })
    }

    /// Says why `caller` may not have a certificate of `identity`, if it may not.
    ///
    /// # Errors
    ///
    /// That reason, for whoever runs the authority. The caller is told that it is refused.
    pub fn authorize(
        &self,
        caller: &Caller,
        identity: &SpiffeId,
    ) -> Result<(), ImpersonationError> {
        let account = caller.id.service_account();
        let account = account.filter(|account| self.is_trusted(*account));
        let account = account.ok_or(ImpersonationError::NotTrusted)?;
        let wanted = identity.service_account();
        let wanted = wanted.filter(|_| identity.trust_domain() == caller.id.trust_domain());
        let wanted = wanted.ok_or(ImpersonationError::Identity)?;
        let bound = caller.pod.as_ref().ok_or(ImpersonationError::NoPod)?;
        let pod = self.pods.pod(account.namespace, &bound.name);
        let pod = pod.filter(|pod| pod.uid == bound.uid && pod.service_account == account.name);
        let pod = pod.ok_or(ImpersonationError::OtherPod)?;
        let is_beside = !pod.node.is_empty() && self.pods.has_account(&pod.node, wanted);
        is_beside
            .then_some(())
            .ok_or(ImpersonationError::NotOnNode { node: pod.node })
    }

    fn is_trusted(&self, account: ServiceAccount<'_>) -> bool {
        let ServiceAccount { namespace, name } = account;
        self.accounts
            .contains(&(namespace.to_owned(), name.to_owned()))
    }
}

fn account(written: &str) -> Result<(String, String), TrustedAccountError> {
    match written.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(TrustedAccountError {
            account: written.to_owned(),
        }),
    }
}

impl<P: Pods> Impersonation for NodeImpersonation<P> {
    fn is_allowed(&self, caller: &Caller, identity: &SpiffeId) -> bool {
        self.authorize(caller, identity).is_ok()
    }
}

impl<P> fmt::Debug for NodeImpersonation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeImpersonation")
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

/// Why a caller may not have the certificate of somebody else.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImpersonationError {
    /// What it asks for is no identity of a service account of its trust domain.
    #[error("the identity is not that of a service account of the caller's trust domain")]
    Identity,
    /// Its token is bound to no pod, or it has shown none.
    #[error("the caller has no token that is bound to its pod")]
    NoPod,
    /// No pod of that service account is on its node.
    #[error("no pod of the service account is on the node `{node}`")]
    NotOnNode {
        /// Its node; empty if that is not known.
        node: String,
    },
    /// Its account is none of those that are trusted.
    #[error("the caller is not of an account that is trusted to ask for others")]
    NotTrusted,
    /// Its pod is not there, or is another one by now, or of another account.
    #[error("the caller's pod is not there, or is another one")]
    OtherPod,
}

/// An account that is trusted is not written as `NAMESPACE/NAME`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{account}` is not an account as NAMESPACE/NAME")]
#[non_exhaustive]
pub struct TrustedAccountError {
    /// What is written.
    pub account: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::authenticate::Proof;
    use crate::ca::token_review::BoundPod;

    /// A cluster with an agent on the node `a`, one that has no node yet, and the accounts of each node.
    struct Cluster;

    impl Pods for Cluster {
        fn pod(&self, namespace: &str, name: &str) -> Option<Pod> {
            let (service_account, node) = match (namespace, name) {
                ("istio-system", "agent-a") => ("ztunnel", "a"),
                ("istio-system", "agent-new") => ("ztunnel", ""),
                ("istio-system", "other") => ("other", "a"),
                _ => return None,
            };
            Some(Pod {
                uid: "1".into(),
                service_account: service_account.into(),
                node: node.into(),
            })
        }

        fn has_account(&self, node: &str, account: ServiceAccount<'_>) -> bool {
            let ServiceAccount { namespace, name } = account;
            matches!(
                (node, namespace, name),
                ("a", "shop", "cart") | ("b", "shop", "users") | ("", "shop", "pending")
            )
        }
    }

    const ZTUNNEL: &str = "spiffe://td/ns/istio-system/sa/ztunnel";
    const CART: &str = "spiffe://td/ns/shop/sa/cart";

    fn caller(id: &str, pod: Option<(&str, &str)>) -> Caller {
        Caller {
            id: id.parse().unwrap(),
            proof: Proof::Token,
            pod: pod.map(|(name, uid)| BoundPod {
                name: name.into(),
                uid: uid.into(),
            }),
        }
    }

    fn authorize(caller: &Caller, identity: &str) -> Result<(), ImpersonationError> {
        let nodes = NodeImpersonation::new("istio-system/ztunnel", Cluster).unwrap();
        let identity = identity.parse().unwrap();
        let authorized = nodes.authorize(caller, &identity);
        assert_eq!(nodes.is_allowed(caller, &identity), authorized.is_ok());
        authorized
    }

    #[test]
    fn an_agent_gets_the_certificates_of_its_node_alone() {
        use ImpersonationError::{Identity, NotOnNode};
        let agent = caller(ZTUNNEL, Some(("agent-a", "1")));
        let elsewhere = || NotOnNode { node: "a".into() };
        for (identity, expected) in [
            (CART, Ok(())),
            ("spiffe://td/ns/shop/sa/users", Err(elsewhere())),
            ("spiffe://td/ns/bank/sa/cart", Err(elsewhere())),
            ("spiffe://other/ns/shop/sa/cart", Err(Identity)),
            ("spiffe://td/cart", Err(Identity)),
        ] {
            assert_eq!(authorize(&agent, identity), expected, "{identity}");
        }
    }

    #[test]
    fn whoever_is_not_the_pod_of_a_trusted_account_gets_none() {
        use ImpersonationError::{NoPod, NotOnNode, NotTrusted, OtherPod};
        let pending = || NotOnNode { node: "".into() };
        for (id, pod, expected) in [
            (CART, Some(("agent-a", "1")), NotTrusted),
            (
                "spiffe://td/ns/shop/sa/ztunnel",
                Some(("agent-a", "1")),
                NotTrusted,
            ),
            ("spiffe://td/ztunnel", Some(("agent-a", "1")), NotTrusted),
            (ZTUNNEL, None, NoPod),
            (ZTUNNEL, Some(("agent-a", "2")), OtherPod),
            (ZTUNNEL, Some(("gone", "1")), OtherPod),
            (ZTUNNEL, Some(("other", "1")), OtherPod),
            (ZTUNNEL, Some(("agent-new", "1")), pending()),
        ] {
            let caller = caller(id, pod);
            assert_eq!(authorize(&caller, CART), Err(expected), "{id} {pod:?}");
        }
        // Nor does whoever is on no node get those of pods that are on none.
        let new = caller(ZTUNNEL, Some(("agent-new", "1")));
        assert_eq!(
            authorize(&new, "spiffe://td/ns/shop/sa/pending"),
            Err(pending())
        );
    }

    #[test]
    fn trusted_accounts_are_written_as_istiod_has_them() {
        let nodes = |accounts| NodeImpersonation::new(accounts, Cluster);
        let agent = caller(ZTUNNEL, Some(("agent-a", "1")));
        let cart = CART.parse().unwrap();
        for (accounts, is_trusted) in [
            ("istio-system/ztunnel", true),
            ("a/b, istio-system/ztunnel,", true),
            ("", false),
            ("istio-system/other", false),
        ] {
            let nodes = nodes(accounts).unwrap();
            assert_eq!(nodes.is_allowed(&agent, &cart), is_trusted, "{accounts}");
        }
        for accounts in ["ztunnel", "/ztunnel", "istio-system/", "a/b/c", "a/b,c"] {
            assert!(nodes(accounts).is_err(), "{accounts}");
        }
    }
}
