use std::sync::Arc;

use mesh_core::model::route::{PathMatch, Route, RouteConfiguration, RouteMatch, VirtualHost};
use mesh_core::service::ClusterName;

use crate::error::CompileErrors;
use crate::table::RouteTable;

/// Routes that are written in Rust; made by [`RouteTable::builder`].
///
/// Routes of one host are tried in the order in which they are added. The port of a request's
/// authority is ignored. A host is a name, `*.suffix`, `prefix.*` or `*`.
#[derive(Clone, Debug)]
pub struct RouteTableBuilder {
    configuration: RouteConfiguration,
}

impl Default for RouteTableBuilder {
    fn default() -> Self {
        let configuration = RouteConfiguration {
            ignore_port: true,
            ..RouteConfiguration::default()
        };
        Self { configuration }
    }
}

impl RouteTableBuilder {
    /// Adds a route for one path. It forwards to a cluster of its own name.
    #[must_use]
    pub fn exact(self, name: &str, host: &str, path: &str) -> Self {
        self.route(
            host,
            Route::forward(name, RouteMatch::exact(path), ClusterName::from(name)),
        )
    }

    /// Adds a route for a path and all below it: `/cart` takes `/cart/7` but not `/cartoon`. It
    /// forwards to a cluster of its own name.
    #[must_use]
    pub fn prefix(self, name: &str, host: &str, path: &str) -> Self {
        let matches = match path.trim_end_matches('/') {
            "" => RouteMatch::prefix("/"),
            path => RouteMatch::path(PathMatch::PathSeparatedPrefix(path.into())),
        };
        self.route(host, Route::forward(name, matches, ClusterName::from(name)))
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, host: &str, route: Route) -> Self {
        let hosts = &mut self.configuration.virtual_hosts;
        match hosts.iter_mut().find(|known| known.name == host) {
            Some(known) => known.routes.push(Arc::new(route)),
            None => hosts.push(VirtualHost::new(host, [host], [route])),
        }
        self
    }

    /// Compiles the routes.
    ///
    /// # Errors
    ///
    /// Those of [`RouteTable::compile`].
    pub fn compile(&self) -> Result<RouteTable, CompileErrors> {
        RouteTable::compile(&self.configuration)
    }
}
