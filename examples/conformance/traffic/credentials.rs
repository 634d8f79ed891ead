//! The credentials of gateways, which the tests make before they apply their configuration.

use std::collections::BTreeSet;

use mesh_core::resource::Object;
use serde_json::Value;

use super::world::GATEWAY_NAMESPACE;
use crate::stage::certificates;

/// Names that the certificates are for; the clients of the tests take any.
const HOSTS: [&str; 2] = ["*.example.com", "*.apps.svc.cluster.local"];

/// A Secret for each credential that a Gateway names, and that is not among `objects`. The error is
/// why there is none.
pub(super) fn secrets(objects: &[Object]) -> Result<Vec<Value>, String> {
    let mut names = BTreeSet::new();
    for object in objects {
        if let Object::Gateway(gateway) = object {
            let settings = gateway
                .spec
                .servers
                .iter()
                .filter_map(|server| server.tls.as_ref());
            names.extend(settings.map(|settings| settings.credential_name.as_str()));
        }
    }
    names.retain(|name| !name.is_empty() && !name.contains("://"));
    for object in objects {
        if let Object::Secret(secret) = object {
            names.remove(secret.metadata.name.as_str());
        }
    }
    let secrets = names.into_iter().map(|name| {
        let issued = certificates::self_signed(&HOSTS);
        let issued = issued.map_err(|error| error.to_string())?;
        Ok(issued.secret(GATEWAY_NAMESPACE, name))
    });
    secrets.collect()
}

#[cfg(test)]
mod tests {
    use mesh_core::parse::{Limits, parse};

    use super::*;
    use crate::case::text;

    #[test]
    fn a_credential_without_a_secret_gets_one() {
        let yaml = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gateway }
spec:
  selector: { istio: ingressgateway }
  servers:
  - { port: { number: 443, name: a, protocol: HTTPS }, hosts: [a], tls: { credentialName: made } }
  - { port: { number: 444, name: b, protocol: HTTPS }, hosts: [b], tls: { credentialName: there } }
---
apiVersion: v1
kind: Secret
metadata: { name: there }
";
        let objects = parse("case.yaml", yaml, &Limits::default()).objects;
        let secrets = secrets(&objects).unwrap();
        let names = secrets
            .iter()
            .map(|secret| text(&secret["metadata"], "name"));
        assert_eq!(names.collect::<Vec<_>>(), ["made"]);
    }
}
