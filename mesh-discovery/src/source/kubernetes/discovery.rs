//! In which version the server has a kind.

use kube::core::ApiResource;
use kube::{Client, Error};
use mesh_core::resource::kind::Kind;

/// The newest version of `kind` that the server has and that is read; `None` if there is none.
pub(super) async fn served(client: &Client, kind: Kind) -> Result<Option<ApiResource>, Error> {
    for version in kind.versions() {
        let api_version = match kind.group() {
            "" => (*version).to_owned(),
            group => format!("{group}/{version}"),
        };
        let list = match kind.group() {
            "" => client.list_core_api_resources(version).await,
            _ => client.list_api_group_resources(&api_version).await,
        };
        let has_kind = match list {
            Ok(list) => list
                .resources
                .iter()
                .any(|found| found.name == kind.plural()),
            Err(Error::Api(status)) if status.code == 404 => false,
            Err(error) => return Err(error),
        };
        if has_kind {
            return Ok(Some(ApiResource {
                group: kind.group().to_owned(),
                version: (*version).to_owned(),
                api_version,
                kind: kind.name().to_owned(),
                plural: kind.plural().to_owned(),
            }));
        }
    }
    Ok(None)
}
