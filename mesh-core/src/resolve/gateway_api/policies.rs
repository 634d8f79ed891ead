//! What BackendTLSPolicies say in vain. Clusters have what they say from the DestinationRules that
//! the policies amount to.

use std::collections::HashSet;

use crate::config::gateway_api::backend_tls;
use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resource::Resource;
use crate::resource::gateway_api::backend_tls_policy::BackendTlsPolicy;

/// The notices of the policies of the namespaces whose services the workload sees.
pub(in crate::resolve) fn backend_tls_notices(context: &Context<'_>) -> Vec<Notice> {
    let policies = &context.config.resources().gateway_api.backend_tls_policies;
    let services = context.scope.services().iter();
    let mut namespaces: HashSet<&str> = services.map(|service| &*service.namespace).collect();
    namespaces.insert(&context.workload.namespace);
    let seen = policies.iter();
    let seen = seen.filter(|policy| namespaces.contains(&*policy.metadata.namespace));
    seen.flat_map(|policy| notices(context, policy)).collect()
}

fn notices(context: &Context<'_>, policy: &Resource<BackendTlsPolicy>) -> Vec<Notice> {
    let problems = backend_tls::problems(context.config, policy).into_iter();
    let notice = |message| Notice {
        origin: policy.origin(),
        message,
    };
    problems.map(notice).collect()
}
