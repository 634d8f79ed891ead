//! The corpora, in the order in which they are run.

use std::path::Path;

use serde_json::Value;

use crate::case::Case;
use crate::{
    analyzers, authz, envoy, gateway_api, gateway_conversion, h2spec, injector, jose, simulation,
    spiffe, tables, traffic, validation, x509_limbo,
};

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
pub(crate) const CORPORA: [Corpus; 25] = [
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
    corpus("authz/integration_cases", authz::integration),
    corpus("authz/leaf_verdicts", authz::leaves),
    corpus("authz/builder_verdicts", authz::builder),
    corpus("analyzers/cases", analyzers::run),
    corpus("gateway-conversion/index", gateway_conversion::run),
    corpus("injector/cases", injector::pairs),
    corpus("injector/inject_required", injector::decisions),
    corpus("jose/istio_tokens", jose::istio_tokens),
    corpus("jose/jwt_verify_lib", jose::jwt_verify),
    corpus("jose/wycheproof_json_web_crypto_test", jose::wycheproof),
    corpus("jose/wycheproof_json_web_key_test", jose::wycheproof),
    corpus("jose/wycheproof_json_web_signature_test", jose::wycheproof),
    corpus("x509-limbo/limbo", x509_limbo::run),
    corpus("h2spec/envoy_baseline", h2spec::run),
];
