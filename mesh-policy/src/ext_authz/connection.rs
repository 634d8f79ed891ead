//! Connections that are not HTTP, and are asked about.

use std::sync::Arc;

use tokio::time::timeout;

use super::check::{Answer, AuthorizeError, ConnectionCheck};
use super::settings::{Provider, Providers};
use crate::authz::Custom;
use crate::authz::layer::Denied;

/// Why a connection that is not HTTP may not pass.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionDenied {
    /// The provider denies.
    #[error("the authorizer denies")]
    Provider,
    /// The provider failed, and connections do not pass then.
    #[error("the authorizer failed")]
    ProviderFailed,
    /// Policies deny by themselves.
    #[error(transparent)]
    Policy(Denied),
}

impl Providers {
    /// Lets a connection that is not HTTP pass, or not, as CUSTOM policies say:
    /// [`evaluate_connection`](crate::authz::CustomPolicies::evaluate_connection) has decided that
    /// `custom` is to be done about it.
    ///
    /// The provider is given the time of its settings. A connection passes a provider that fails if
    /// that is set to fail open.
    ///
    /// # Errors
    ///
    /// The provider denies or fails, or is not here, or there are several.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed if the future is dropped.
    pub async fn allow_connection(
        &self,
        custom: Custom<'_>,
        connection: ConnectionCheck,
    ) -> Result<(), ConnectionDenied> {
        let (provider, rule) = match custom {
            Custom::Pass => return Ok(()),
            Custom::Deny(rule) => (None, rule),
            Custom::Ask { provider, rule } => (self.get(provider), rule),
        };
        match provider {
            Some(provider) => provider.allow(connection).await,
            None => Err(ConnectionDenied::Policy(Denied::Rule(Arc::clone(rule)))),
        }
    }
}

impl Provider {
    async fn allow(&self, connection: ConnectionCheck) -> Result<(), ConnectionDenied> {
        let Self {
            authorizer,
            settings,
        } = self;
        let asked = timeout(settings.timeout, authorizer.check_connection(connection)).await;
        match asked.unwrap_or(Err(AuthorizeError::Timeout)) {
            Ok(Answer::Allow(_)) => Ok(()),
            Ok(Answer::Deny(_)) => Err(ConnectionDenied::Provider),
            Err(_) if settings.fail_open => Ok(()),
            Err(_) => Err(ConnectionDenied::ProviderFailed),
        }
    }
}
