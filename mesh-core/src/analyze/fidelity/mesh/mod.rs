//! Fields of settings of the whole mesh.

use super::treatment::Support;

mod mesh_config;
mod networks;
mod providers;
mod proxy_config;
mod workload_proxy_config;

/// What is logged is written where the process runs.
const LOG_SERVICE: Support = Support::never("access logs are not sent to services");
