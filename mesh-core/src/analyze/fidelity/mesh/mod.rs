//! Fields of settings of the whole mesh.

mod mesh_config;
mod networks;
mod providers;
mod proxy_config;
mod workload_proxy_config;
