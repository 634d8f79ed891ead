//! The corpora, in the order in which they are run.

use std::path::Path;

use serde_json::Value;

use crate::case::Case;
use crate::{envoy, gateway_api, pending, simulation, spiffe, tables, traffic, validation};

/// A file of cases, and what runs them.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// Its path below the directory of the corpora, without its ending.
    pub(crate) name: &'static str,
    /// Runs the cases of the file, given its content and the directory of the corpora.
    pub(crate) run: fn(&Value, &Path) -> Vec<Case>,
}

const fn corpus(name: &'static str, run: fn(&Value, &Path) -> Vec<Case>) -> Corpus {
    Corpus { name, run }
}

/// Every corpus that is known.
pub(crate) const CORPORA: [Corpus; 24] = [
    corpus("spiffe/ids", spiffe::run),
    corpus("tables/istio", tables::run),
    corpus("tables/go-spiffe", tables::run),
    corpus("validation/cases", validation::run),
    corpus("validation/crd_cases", validation::crd),
    corpus("gateway-api/cel_cases", validation::cel),
    corpus("envoy/route_cases", envoy::routes),
    corpus("envoy/misc_vectors", envoy::vectors),
    corpus("simulation/cases", simulation::run),
    corpus("traffic/cases", traffic::run),
    corpus("gateway-api/conformance", gateway_api::run),
    corpus("authz/integration_cases", pending::authz_integration),
    corpus("authz/leaf_verdicts", pending::authz_leaves),
    corpus("authz/builder_verdicts", pending::authz_builder),
    corpus("analyzers/cases", pending::analyzers),
    corpus("gateway-conversion/index", pending::gateway_conversion),
    corpus("injector/cases", pending::injector),
    corpus("injector/inject_required", pending::inject_required),
    corpus("jose/istio_tokens", pending::istio_tokens),
    corpus("jose/jwt_verify_lib", pending::jwt_verify),
    corpus("jose/wycheproof_json_web_crypto_test", pending::wycheproof),
    corpus("jose/wycheproof_json_web_key_test", pending::wycheproof),
    corpus(
        "jose/wycheproof_json_web_signature_test",
        pending::wycheproof,
    ),
    corpus("h2spec/envoy_baseline", pending::h2spec),
];
