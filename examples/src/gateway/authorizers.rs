//! The authorizers of CUSTOM policies: extension providers of the mesh.

use std::io;

use mesh_core::identity::SpiffeId;
use mesh_core::resource::istio::mesh_config::{
    EnvoyExternalAuthorizationGrpcProvider, EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody, ExtensionProvider,
};
use mesh_core::service::ClusterName;
use mesh_policy::authz::PolicySet;
use mesh_policy::ext_authz::grpc::GrpcAuthorizer;
use mesh_policy::ext_authz::http::{HttpAuthorizer, InvalidProviderError};
use mesh_policy::ext_authz::{InvalidStatusError, Provider, Providers, Settings};

use super::calls::{Calls, Client};
use super::mesh_wide::{MeshWide, NoAuthorizer};
use super::upstream::Upstreams;

/// The providers that the CUSTOM policies of `policies` name, and which of them cannot be asked.
/// What these would be asked about is denied. They are told that the gateway is `identity`.
pub(super) fn compile(
    (policies, identity): (&PolicySet, Option<&SpiffeId>),
    wide: &MeshWide,
    calls: &mut Calls,
    clusters: &Upstreams,
) -> (Providers, Vec<String>) {
    let (mut providers, mut warnings) = (Providers::default(), Vec::new());
    for name in policies.custom().providers() {
        let found = wide.authorizer(name).map_err(Unusable::from);
        match found.and_then(|found| provider((found, identity), calls, clusters)) {
            Ok(provider) => providers = providers.with(&**name, provider),
            Err(why) => warnings.push(format!(
                "what CUSTOM policies put to the provider `{name}` is denied: {why}"
            )),
        }
    }
    (providers, warnings)
}

/// Why a provider cannot be asked.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Mesh(#[from] NoAuthorizer),
    #[error("no port of a service is `{0}:{1}`")]
    Service(String, u32),
    #[error(transparent)]
    Provider(#[from] InvalidProviderError),
    #[error(transparent)]
    Status(#[from] InvalidStatusError),
    #[error("the system refuses the thread that asks: {0}")]
    Thread(#[from] io::Error),
}

fn provider(
    (found, identity): (&ExtensionProvider, Option<&SpiffeId>),
    calls: &mut Calls,
    clusters: &Upstreams,
) -> Result<Provider, Unusable> {
    match (&found.envoy_ext_authz_http, &found.envoy_ext_authz_grpc) {
        (Some(http), _) => of_http(http, calls, clusters),
        (None, Some(grpc)) => of_grpc((grpc, identity), calls, clusters),
        (None, None) => Err(NoAuthorizer::Kind.into()),
    }
}

fn of_http(
    provider: &EnvoyExternalAuthorizationHttpProvider,
    calls: &mut Calls,
    clusters: &Upstreams,
) -> Result<Provider, Unusable> {
    let settings = Settings::of_http(provider)?;
    let to = (provider.service.as_str(), provider.port);
    let client = client(to, settings, (calls, clusters))?;
    Ok(Provider::new(
        HttpAuthorizer::new(provider, client)?,
        settings,
    ))
}

fn of_grpc(
    (provider, identity): (&EnvoyExternalAuthorizationGrpcProvider, Option<&SpiffeId>),
    calls: &mut Calls,
    clusters: &Upstreams,
) -> Result<Provider, Unusable> {
    let settings = Settings::of_grpc(provider)?;
    let to = (provider.service.as_str(), provider.port);
    let client = client(to, settings, (calls, clusters))?;
    let body = provider.include_request_body_in_check.as_ref();
    let as_bytes = |body: &EnvoyExternalAuthorizationRequestBody| body.pack_as_bytes;
    let mut authorizer = GrpcAuthorizer::new(client).with_body_as_bytes(body.is_some_and(as_bytes));
    if let Some(identity) = identity {
        authorizer = authorizer.with_principal(identity.clone());
    }
    Ok(Provider::new(authorizer, settings))
}

fn client(
    (service, port): (&str, u32),
    settings: Settings,
    (calls, clusters): (&mut Calls, &Upstreams),
) -> Result<Client, Unusable> {
    let unknown = || Unusable::Service(service.to_owned(), port);
    let cluster = ClusterName::of_provider(service, port).ok_or_else(unknown)?;
    clusters.get(&cluster).ok_or_else(unknown)?;
    Ok(calls.client(clusters, &cluster, settings.timeout)?)
}
