//! A thousand policies of which ten can apply.

use std::sync::Arc;

use mesh_core::resource::Resource;
use mesh_core::resource::istio::AuthorizationPolicy;
use mesh_core::resource::istio::authorization_policy::{Action, From, Operation, Rule, Source, To};

const POLICIES: usize = 1_000;
const APPLYING: usize = 10;

pub(crate) type Policies = Vec<Arc<Resource<AuthorizationPolicy>>>;

/// Policies of other clients and paths, and ten that are for this client, of which the last allows.
pub(crate) fn policies() -> Policies {
    let policies = (0..POLICIES).map(|number| {
        let applies = number >= POLICIES - APPLYING;
        let account = if applies {
            "shop/sa/client".to_owned()
        } else {
            format!("team-{number}/sa/client")
        };
        let (methods, path) = match number {
            _ if number == POLICIES - 1 => (vec!["GET".to_owned()], "/cart/*".to_owned()),
            _ if applies => (vec!["PUT".to_owned()], format!("/cart/{number}")),
            _ => (Vec::new(), format!("/service-{number}/*")),
        };
        let mut policy = Resource::<AuthorizationPolicy>::default();
        policy.metadata.name = format!("policy-{number:04}");
        policy.metadata.namespace = "shop".to_owned();
        policy.spec.action = Action::Allow;
        policy.spec.rules = Some(vec![Rule {
            from: Some(vec![From {
                source: Some(Source {
                    principals: vec![format!("cluster.local/ns/{account}")],
                    ..Source::default()
                }),
            }]),
            to: Some(vec![To {
                operation: Some(Operation {
                    methods,
                    paths: vec![path],
                    ..Operation::default()
                }),
            }]),
            when: Vec::new(),
        }]);
        Arc::new(policy)
    });
    policies.collect()
}
