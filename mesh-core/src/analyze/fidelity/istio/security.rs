//! Fields of PeerAuthentication, RequestAuthentication and AuthorizationPolicy.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::authorization_policy::{Action, AuthorizationPolicy};
use crate::resource::istio::authorization_policy::{
    Condition, ExtensionProvider, From, Operation, Rule, Source, To,
};
use crate::resource::istio::peer_authentication::{MutualTls, PeerAuthentication};
use crate::resource::istio::request_authentication::{
    ClaimToHeader, JwtHeader, JwtRule, RequestAuthentication,
};

/// Keys of what filters of Envoy leave for each other.
const METADATA: &str = "experimental.envoy.filters.";
const CLOSED: &str = "filters of Envoy leave nothing here: an ALLOW rule with such a condition allows nothing, \
                      others apply as if it were not there";

impl Classify for PeerAuthentication {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            mtls,
            port_level_mtls,
        } = self;
        fields.leaf("selector", selector, Capability::PeerAuthentication);
        fields.nest("mtls", mtls);
        fields.nest("portLevelMtls", port_level_mtls);
    }
}

impl Classify for MutualTls {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode } = self;
        fields.leaf("mode", mode, Capability::PeerAuthentication);
    }
}

impl Classify for RequestAuthentication {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            target_ref,
            target_refs,
            jwt_rules,
        } = self;
        fields.leaf("selector", selector, Capability::RequestAuthentication);
        fields.leaf("targetRef", target_ref, Capability::RequestAuthentication);
        fields.leaf("targetRefs", target_refs, Capability::RequestAuthentication);
        fields.nest("jwtRules", jwt_rules);
    }
}

impl Classify for JwtRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            issuer,
            audiences,
            jwks_uri,
            jwks,
            from_headers,
            from_params,
            output_payload_to_header,
            from_cookies,
            forward_original_token,
            output_claim_to_headers,
            timeout,
            space_delimited_claims,
            presence,
        } = self;
        fields.leaf("issuer", issuer, Capability::RequestAuthentication);
        fields.leaf("audiences", audiences, Capability::RequestAuthentication);
        fields.leaf("jwksUri", jwks_uri, Capability::RequestAuthentication);
        fields.leaf("jwks", jwks, Capability::RequestAuthentication);
        fields.nest("fromHeaders", from_headers);
        fields.leaf("fromParams", from_params, Capability::RequestAuthentication);
        fields.leaf(
            "outputPayloadToHeader",
            output_payload_to_header,
            Capability::RequestAuthentication,
        );
        fields.leaf(
            "fromCookies",
            from_cookies,
            Capability::RequestAuthentication,
        );
        fields.leaf(
            "forwardOriginalToken",
            forward_original_token,
            Capability::RequestAuthentication,
        );
        fields.nest("outputClaimToHeaders", output_claim_to_headers);
        fields.leaf("timeout", timeout, Capability::RequestAuthentication);
        fields.leaf(
            "spaceDelimitedClaims",
            space_delimited_claims,
            Capability::RequestAuthentication,
        );
        fields.leaf("presence", presence, Capability::RequestAuthentication);
    }
}

impl Classify for JwtHeader {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, prefix } = self;
        fields.leaf("name", name, Capability::RequestAuthentication);
        fields.leaf("prefix", prefix, Capability::RequestAuthentication);
    }
}

impl Classify for ClaimToHeader {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { header, claim } = self;
        fields.leaf("header", header, Capability::RequestAuthentication);
        fields.leaf("claim", claim, Capability::RequestAuthentication);
    }
}

impl Classify for Rule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { from, to, when } = self;
        fields.nest("from", from);
        fields.nest("to", to);
        fields.nest("when", when);
    }
}

impl Classify for From {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { source } = self;
        fields.nest("source", source);
    }
}

impl Classify for To {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { operation } = self;
        fields.nest("operation", operation);
    }
}

impl Classify for Source {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
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
        } = self;
        fields.leaf("principals", principals, Capability::Authorization);
        fields.leaf("notPrincipals", not_principals, Capability::Authorization);
        fields.leaf(
            "requestPrincipals",
            request_principals,
            Capability::Authorization,
        );
        fields.leaf(
            "notRequestPrincipals",
            not_request_principals,
            Capability::Authorization,
        );
        fields.leaf("namespaces", namespaces, Capability::Authorization);
        fields.leaf("notNamespaces", not_namespaces, Capability::Authorization);
        fields.leaf(
            "serviceAccounts",
            service_accounts,
            Capability::Authorization,
        );
        fields.leaf(
            "notServiceAccounts",
            not_service_accounts,
            Capability::Authorization,
        );
        fields.leaf("ipBlocks", ip_blocks, Capability::Authorization);
        fields.leaf("notIpBlocks", not_ip_blocks, Capability::Authorization);
        fields.leaf(
            "remoteIpBlocks",
            remote_ip_blocks,
            Capability::Authorization,
        );
        fields.leaf(
            "notRemoteIpBlocks",
            not_remote_ip_blocks,
            Capability::Authorization,
        );
        fields.leaf("trustDomains", trust_domains, Capability::Authorization);
        fields.leaf(
            "notTrustDomains",
            not_trust_domains,
            Capability::Authorization,
        );
    }
}

impl Classify for Operation {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            hosts,
            not_hosts,
            ports,
            not_ports,
            methods,
            not_methods,
            paths,
            not_paths,
        } = self;
        fields.leaf("hosts", hosts, Capability::Authorization);
        fields.leaf("notHosts", not_hosts, Capability::Authorization);
        fields.leaf("ports", ports, Capability::Authorization);
        fields.leaf("notPorts", not_ports, Capability::Authorization);
        fields.leaf("methods", methods, Capability::Authorization);
        fields.leaf("notMethods", not_methods, Capability::Authorization);
        fields.leaf("paths", paths, Capability::Authorization);
        fields.leaf("notPaths", not_paths, Capability::Authorization);
    }
}

impl Classify for Condition {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            key,
            values,
            not_values,
        } = self;
        if key.starts_with(METADATA) {
            let closed = Support::Differently(Capability::Authorization, CLOSED);
            fields.exactly("key", key, closed);
            fields.exactly("values", values, closed);
            fields.exactly("notValues", not_values, closed);
            return;
        }
        fields.leaf("key", key, Capability::Authorization);
        fields.leaf("values", values, Capability::Authorization);
        fields.leaf("notValues", not_values, Capability::Authorization);
    }
}

impl Classify for ExtensionProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name } = self;
        fields.leaf("name", name, Capability::ExternalAuthorization);
    }
}

impl Classify for AuthorizationPolicy {
    /// A policy without rules says something too, which is why its action is always set. All of
    /// a policy that asks a service depends on asking it.
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            target_ref,
            target_refs,
            rules,
            action,
            provider,
        } = self;
        let capability = match action {
            Action::Custom => Capability::ExternalAuthorization,
            Action::Allow | Action::Deny | Action::Audit => Capability::Authorization,
        };
        fields.leaf("selector", selector, capability);
        fields.leaf("targetRef", target_ref, capability);
        fields.leaf("targetRefs", target_refs, capability);
        fields.nest_as("rules", rules, capability);
        fields.always("action", capability);
        fields.nest("provider", provider);
    }
}
