//! The init container that redirects traffic to the proxy, or checks that a plugin has done it.

use serde_json::{Value, json};

use super::Render;
use super::environment;
use super::render::PROXY_ID;
use crate::admission::annotation::{
    EXCLUDE_INBOUND_PORTS, EXCLUDE_INTERFACES, EXCLUDE_OUTBOUND_IP_RANGES, EXCLUDE_OUTBOUND_PORTS,
    INCLUDE_INBOUND_PORTS, INCLUDE_OUTBOUND_IP_RANGES, INCLUDE_OUTBOUND_PORTS, KUBEVIRT_INTERFACES,
    REROUTE_INTERFACES,
};

/// The container, unless nothing is redirected.
pub(super) fn container(render: &Render<'_>) -> Option<Value> {
    if render.interception_mode() == "NONE" {
        return None;
    }
    let is_checked = render.values.pilot.cni.enabled;
    let name = if is_checked {
        "istio-validation"
    } else {
        "istio-init"
    };
    let mut container = json!({
        "name": name,
        "image": render.init_image(),
        "args": arguments(render),
        "resources": render.resources(),
        "securityContext": security_context(render),
    });
    let policy = &render.values.global.image_pull_policy;
    if !policy.is_empty() {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    let env: Vec<_> = environment::own(render).collect();
    if !env.is_empty() {
        container["env"] = env.into();
    }
    Some(container)
}

/// Inbound ports that are not captured: those that are written, and the agent's.
pub(super) fn excluded_inbound_ports(render: &Render<'_>) -> String {
    let default = &render.values.global.proxy.exclude_inbound_ports;
    let written = render.annotation_or(EXCLUDE_INBOUND_PORTS, default);
    let agent = render.status_port();
    let agent = agent.trim();
    if matches!(agent, "" | "0") || written.split(',').any(|port| port == agent) {
        return written;
    }
    let written = written
        .split(',')
        .map(str::trim)
        .filter(|port| !port.is_empty());
    written.chain([agent]).collect::<Vec<_>>().join(",")
}

/// Ports to which traffic is captured or not, if any are written.
pub(super) fn outbound_ports(render: &Render<'_>, annotation: &str) -> Option<String> {
    let proxy = &render.values.global.proxy;
    let default = match annotation {
        INCLUDE_OUTBOUND_PORTS => &proxy.include_outbound_ports,
        _ => &proxy.exclude_outbound_ports,
    };
    let is_written = render.pod.annotation(annotation).is_some() || !default.is_empty();
    is_written.then(|| render.annotation_or(annotation, default))
}

fn arguments(render: &Render<'_>) -> Vec<String> {
    let proxy = &render.values.global.proxy;
    let mesh = render.mesh;
    let port = |port: Option<i32>, default: i32| {
        let port = port.filter(|port| *port != 0);
        port.unwrap_or(default).to_string()
    };
    let excluded = excluded_inbound_ports(render);
    let comma = if excluded.is_empty() { "" } else { "," };
    let pairs = [
        ("-p", port(mesh.proxy_listen_port, 15001)),
        ("-z", port(mesh.proxy_inbound_listen_port, 15006)),
        ("-u", PROXY_ID.to_string()),
        ("-m", render.interception_mode()),
        (
            "-i",
            render.annotation_or(INCLUDE_OUTBOUND_IP_RANGES, &proxy.include_ip_ranges),
        ),
        (
            "-x",
            render.annotation_or(EXCLUDE_OUTBOUND_IP_RANGES, &proxy.exclude_ip_ranges),
        ),
        (
            "-b",
            render.annotation_or(INCLUDE_INBOUND_PORTS, &proxy.include_inbound_ports),
        ),
        ("-d", format!("15090,15021{comma}{excluded}")),
    ];
    let interfaces = [REROUTE_INTERFACES, KUBEVIRT_INTERFACES]
        .into_iter()
        .find_map(|name| render.pod.annotation(name));
    let optional = [
        ("-q", outbound_ports(render, INCLUDE_OUTBOUND_PORTS)),
        ("-o", outbound_ports(render, EXCLUDE_OUTBOUND_PORTS)),
        ("-k", interfaces.map(String::from)),
        (
            "-c",
            render.pod.annotation(EXCLUDE_INTERFACES).map(String::from),
        ),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(flag, value)| Some((flag, value?)));
    let pairs = pairs.into_iter().chain(optional);
    let mut arguments = vec![String::from("istio-iptables")];
    arguments.extend(pairs.flat_map(|(flag, value)| [flag.to_owned(), value]));
    arguments.extend(switches(render));
    arguments
}

fn switches(render: &Render<'_>) -> Vec<String> {
    let global = &render.values.global;
    let level = render.annotation_or("sidecar.istio.io/agentLogLevel", &global.logging.level);
    let is_checked = render.values.pilot.cni.enabled;
    let switches = [
        ("--log_as_json", global.log_as_json),
        ("--run-validation", is_checked),
        ("--skip-rule-apply", is_checked),
        (
            "--force-apply",
            !is_checked && global.proxy_init.force_apply_iptables,
        ),
        ("--native-nftables", global.native_nftables),
    ];
    let switches = switches.into_iter().filter(|(_, is_on)| *is_on);
    let switches = switches.map(|(switch, _)| switch.to_owned());
    [format!("--log_output_level={level}")]
        .into_iter()
        .chain(switches)
        .collect()
}

fn security_context(render: &Render<'_>) -> Value {
    let proxy = &render.values.global.proxy;
    let is_checked = render.values.pilot.cni.enabled;
    let mut capabilities = json!({"drop": ["ALL"]});
    if !is_checked {
        capabilities["add"] = json!(["NET_ADMIN", "NET_RAW"]);
    }
    let user = if is_checked { PROXY_ID } else { 0 };
    let mut context = json!({
        "allowPrivilegeEscalation": proxy.privileged,
        "privileged": proxy.privileged,
        "capabilities": capabilities,
        "readOnlyRootFilesystem": is_checked,
        "runAsGroup": user,
        "runAsUser": user,
        "runAsNonRoot": is_checked,
    });
    super::proxy::add_seccomp_profile(&mut context, render);
    context
}
