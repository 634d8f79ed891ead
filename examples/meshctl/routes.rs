use mesh_core::model::Model;
use mesh_core::model::route::{Route, RouteConfiguration, VirtualHost};
use mesh_core::workload::WorkloadKind;

use crate::{Output, json, words};

/// The routes of a model, in the order in which they are tried.
pub(crate) fn list(model: &Model, output: Output) -> String {
    if output == Output::Json {
        return json(&model.route_configurations);
    }
    let mut text: String = model
        .route_configurations
        .values()
        .map(|routes| table(routes))
        .collect();
    for notice in &model.notices {
        text += &format!("note: {}  [{}]\n", notice.message, notice.origin);
    }
    text
}

/// What is probably meant by a workload without labels is a gateway, which is selected by them.
pub(crate) fn hint(model: &Model) -> &'static str {
    let workload = &model.workload;
    match workload.kind {
        WorkloadKind::Sidecar if workload.labels.is_empty() => {
            "note: these are the routes of a service: no Gateway selects a workload without labels \
             (namespace/name:key=value)\n"
        }
        WorkloadKind::Sidecar | WorkloadKind::Gateway => "",
    }
}

fn table(routes: &RouteConfiguration) -> String {
    let hosts: String = routes.virtual_hosts.iter().map(virtual_host).collect();
    format!("route configuration {}\n{hosts}\n", routes.name)
}

fn virtual_host(host: &VirtualHost) -> String {
    let tls = if host.require_tls {
        "  (redirects to https)"
    } else {
        ""
    };
    let routes: String = host.routes.iter().map(|at| route(at)).collect();
    format!(
        "  {}: {}{tls}\n{routes}",
        host.name,
        host.domains.join(", ")
    )
}

fn route(route: &Route) -> String {
    let name = match route.name.as_str() {
        "" => "-",
        name => name,
    };
    let (condition, action) = (
        words::condition(&route.matches),
        words::action(&route.action),
    );
    format!("    {name}: {condition} -> {action}  [{}]\n", route.origin)
}
