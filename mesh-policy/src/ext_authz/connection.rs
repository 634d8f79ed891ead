//! Connections that are not HTTP, and are asked about.

use tokio::time::timeout;

use super::check::{Answer, AuthorizeError, ConnectionCheck};
use super::settings::{Provider, Providers};
use crate::authz::Custom;

impl Providers {
    /// Whether a connection that is not HTTP may pass as CUSTOM policies say:
    /// [`evaluate_connection`](crate::authz::CustomPolicies::evaluate_connection) has decided that
    /// `custom` is to be done about it.
    ///
    /// The provider is given the time of its settings. A connection passes a provider that fails if
    /// that is set to fail open. It does not pass one that is not here, or several.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed if the future is dropped.
    pub async fn allow_connection(&self, custom: Custom<'_>, connection: ConnectionCheck) -> bool {
        match custom {
            Custom::Pass => true,
            Custom::Deny(_) => false,
            Custom::Ask { provider, .. } => match self.get(provider) {
                Some(provider) => provider.allows(connection).await,
                None => false,
            },
        }
    }
}

impl Provider {
    async fn allows(&self, connection: ConnectionCheck) -> bool {
        let Self {
            authorizer,
            settings,
        } = self;
        let asked = timeout(settings.timeout, authorizer.check_connection(connection)).await;
        match asked.unwrap_or(Err(AuthorizeError::Timeout)) {
            Ok(Answer::Allow(_)) => true,
            Ok(Answer::Deny(_)) => false,
            Err(_) => settings.fail_open,
        }
    }
}
