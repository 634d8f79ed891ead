use std::fmt::Write;

use clap::Args;
use examples::config::Loaded;
use mesh_core::analyze::status::{
    Condition, ConditionType, GatewayStatus, ListenerSetStatus, ListenerStatus, PolicyStatus,
    ResourceStatus, RouteStatus, StatusOptions, Statuses, statuses,
};
use mesh_core::config::MeshConfig;
use mesh_core::origin::Origin;
use mesh_core::resource::gateway_api::parent_reference::ParentReference;

use crate::{Answer, Failure, Input, Output, json};

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// In whose name the status is written.
    #[arg(long, default_value = "istio.io/gateway-controller")]
    controller: String,
    /// Take a Gateway for served: NAMESPACE/NAME=ADDRESS. May be repeated. Otherwise the Services
    /// and endpoints in the files say whether it is.
    #[arg(long, value_name = "GATEWAY=ADDRESS", value_parser = served)]
    served: Vec<(String, String, String)>,
    #[command(flatten)]
    pub(crate) input: Input,
}

fn served(text: &str) -> Result<(String, String, String), String> {
    let parts = text.split_once('=').and_then(|(gateway, address)| {
        let (namespace, name) = gateway.split_once('/')?;
        Some((namespace.to_owned(), name.to_owned(), address.to_owned()))
    });
    parts.ok_or_else(|| "it is written as namespace/name=address".to_owned())
}

/// The status of all resources of the Gateway API. It is not good if one is not accepted, or refers
/// to what is missing.
pub(crate) fn report(loaded: Loaded, arguments: StatusArguments) -> Result<Answer, Failure> {
    let StatusArguments {
        controller,
        served,
        input,
    } = arguments;
    let built = loaded.build(MeshConfig::builder(), 1);
    let (config, _) = built.map_err(Failure::Configuration)?;
    let mut options = StatusOptions::default().controller(controller);
    for (namespace, name, address) in served {
        options = options.served_at(namespace, name, [address]);
    }
    let statuses = statuses(&config, &options);
    let mut report = Report {
        text: String::new(),
        is_good: true,
    };
    report.add(&statuses);
    let text = match input.output {
        Output::Json => json(&statuses),
        Output::Text => report.text,
    };
    Ok(Answer {
        text,
        is_good: report.is_good,
    })
}

#[derive(Debug)]
struct Report {
    text: String,
    is_good: bool,
}

impl Report {
    fn add(&mut self, statuses: &Statuses) {
        self.resources(&statuses.gateway_classes, |report, status| {
            report.conditions(1, &status.conditions);
        });
        self.resources(&statuses.gateways, Self::gateway);
        self.resources(&statuses.listener_sets, Self::listener_set);
        let routes = [
            &statuses.http_routes,
            &statuses.grpc_routes,
            &statuses.tls_routes,
            &statuses.tcp_routes,
            &statuses.udp_routes,
        ];
        for routes in routes {
            self.resources(routes, Self::route);
        }
        self.resources(&statuses.backend_tls_policies, Self::policy);
        for notice in &statuses.notices {
            self.text += &format!("note: {}  [{}]\n", notice.message, notice.origin);
        }
    }

    fn resources<T>(&mut self, resources: &[ResourceStatus<T>], write: impl Fn(&mut Self, &T)) {
        for resource in resources {
            self.line(0, &heading(&resource.origin));
            write(self, &resource.status);
        }
    }

    fn gateway(&mut self, status: &GatewayStatus) {
        for address in &status.addresses {
            self.line(1, &format!("address {}", address.value));
        }
        self.conditions(1, &status.conditions);
        self.listeners(&status.listeners);
    }

    fn listener_set(&mut self, status: &ListenerSetStatus) {
        self.conditions(1, &status.conditions);
        self.listeners(&status.listeners);
    }

    fn listeners(&mut self, listeners: &[ListenerStatus]) {
        for listener in listeners {
            let kinds = listener.supported_kinds.iter();
            let kinds: Vec<&str> = kinds.map(|kind| &*kind.kind).collect();
            let kinds = match kinds.as_slice() {
                [] => "no kind of route".to_owned(),
                kinds => kinds.join(", "),
            };
            let (name, attached) = (&listener.name, listener.attached_routes);
            self.line(1, &format!("listener {name}: {attached} routes of {kinds}"));
            self.conditions(2, &listener.conditions);
        }
    }

    fn route(&mut self, status: &RouteStatus) {
        for parent in &status.parents.own {
            self.line(1, &format!("at {}", reference(&parent.parent_ref)));
            self.conditions(2, &parent.conditions);
        }
        if status.parents.own.is_empty() {
            self.line(1, "at nothing of this controller");
        }
    }

    fn policy(&mut self, status: &PolicyStatus) {
        for ancestor in &status.ancestors.own {
            self.line(1, &format!("at {}", reference(&ancestor.ancestor_ref)));
            self.conditions(2, &ancestor.conditions);
        }
    }

    fn conditions(&mut self, depth: usize, conditions: &[Condition]) {
        for condition in conditions {
            let (kind, reason) = (condition.r#type, condition.reason);
            let holds = if condition.status { "True" } else { "False" };
            let mut line = format!("{kind} {holds} {reason}: {}", condition.message);
            if is_trouble(condition) {
                self.is_good = false;
                // Writing to a string does not fail.
                let _ = write!(line, "  [{}]", condition.origin);
            }
            self.line(depth, &line);
        }
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.text += &"  ".repeat(depth);
        self.text += text;
        self.text += "\n";
    }
}

/// Whether a condition says that something was written in vain. Whether it is served is up to the
/// cluster.
fn is_trouble(condition: &Condition) -> bool {
    match condition.r#type {
        ConditionType::Accepted | ConditionType::ResolvedRefs => !condition.status,
        ConditionType::Conflicted | ConditionType::PartiallyInvalid => condition.status,
        ConditionType::InsecureFrontendValidationMode | ConditionType::Programmed => false,
    }
}

fn heading(origin: &Origin) -> String {
    match origin.namespace() {
        "" => format!("{} {}", origin.kind(), origin.name()),
        namespace => format!("{} {namespace}/{}", origin.kind(), origin.name()),
    }
}

fn reference(reference: &ParentReference) -> String {
    let (_, kind) = reference.group_kind();
    let namespace = reference.namespace.iter();
    let namespace: String = namespace.map(|namespace| format!("{namespace}/")).collect();
    let section = reference.section_name.iter();
    let section: String = section.map(|section| format!(" {section}")).collect();
    let port: String = reference
        .port
        .iter()
        .map(|port| format!(":{port}"))
        .collect();
    format!("{kind} {namespace}{}{port}{section}", reference.name)
}
