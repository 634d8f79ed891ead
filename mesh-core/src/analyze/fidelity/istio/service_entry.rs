//! Fields of services and workloads outside Kubernetes.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::service_entry::{ServiceEntry, ServicePort};
use crate::resource::istio::workload_entry::WorkloadEntry;
use crate::resource::istio::workload_group::{
    ExecHealthCheckConfig, GrpcHealthCheckConfig, HttpHeader, HttpHealthCheckConfig, ObjectMeta,
    ReadinessProbe, TcpHealthCheckConfig, WorkloadGroup,
};

/// What istiod makes a WorkloadEntry of.
const REGISTRATION: Support = Support::NotApplicable("read when a workload registers with istiod");

const PROBES: Support = Support::never("only the kubelet probes a workload, by its sidecar");

impl Classify for WorkloadEntry {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            address,
            ports,
            labels,
            network,
            locality,
            weight,
            service_account,
        } = self;
        fields.leaf("address", address, Capability::Discovery);
        fields.leaf("ports", ports, Capability::Discovery);
        fields.leaf("labels", labels, Capability::Discovery);
        fields.leaf("network", network, Capability::Discovery);
        fields.leaf("locality", locality, Capability::LoadBalancing);
        fields.leaf("weight", weight, Capability::LoadBalancing);
        fields.leaf(
            "serviceAccount",
            service_account,
            Support::Aids(Capability::ClientTls),
        );
    }
}

impl Classify for ServiceEntry {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            hosts,
            addresses,
            ports,
            location,
            resolution,
            endpoints,
            workload_selector,
            export_to,
            subject_alt_names,
        } = self;
        fields.leaf("hosts", hosts, Capability::Discovery);
        fields.leaf("addresses", addresses, Capability::Discovery);
        fields.nest("ports", ports);
        fields.leaf("location", location, Capability::Discovery);
        fields.leaf("resolution", resolution, Capability::DnsResolution);
        fields.nest("endpoints", endpoints);
        fields.leaf("workloadSelector", workload_selector, Capability::Discovery);
        fields.leaf("exportTo", export_to, Capability::Discovery);
        fields.leaf(
            "subjectAltNames",
            subject_alt_names,
            Support::Aids(Capability::ClientTls),
        );
    }
}

impl Classify for ServicePort {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            number,
            protocol,
            name,
            target_port,
        } = self;
        fields.leaf("number", number, Capability::Discovery);
        fields.leaf("protocol", protocol, Capability::Discovery);
        fields.leaf("name", name, Capability::Discovery);
        fields.leaf("targetPort", target_port, Capability::Discovery);
    }
}

impl Classify for WorkloadGroup {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            metadata,
            template,
            probe,
        } = self;
        fields.nest("metadata", metadata);
        fields.nest_as("template", template, REGISTRATION);
        fields.nest("probe", probe);
    }
}

impl Classify for ObjectMeta {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            labels,
            annotations,
        } = self;
        fields.leaf("labels", labels, REGISTRATION);
        fields.leaf("annotations", annotations, REGISTRATION);
    }
}

impl Classify for ReadinessProbe {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            initial_delay_seconds,
            timeout_seconds,
            period_seconds,
            success_threshold,
            failure_threshold,
            http_get,
            tcp_socket,
            exec,
            grpc,
        } = self;
        fields.leaf("initialDelaySeconds", initial_delay_seconds, PROBES);
        fields.leaf("timeoutSeconds", timeout_seconds, PROBES);
        fields.leaf("periodSeconds", period_seconds, PROBES);
        fields.leaf("successThreshold", success_threshold, PROBES);
        fields.leaf("failureThreshold", failure_threshold, PROBES);
        fields.nest("httpGet", http_get);
        fields.nest("tcpSocket", tcp_socket);
        fields.nest("exec", exec);
        fields.nest("grpc", grpc);
    }
}

impl Classify for HttpHealthCheckConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            path,
            port,
            host,
            scheme,
            http_headers,
        } = self;
        fields.leaf("path", path, PROBES);
        fields.leaf("port", port, PROBES);
        fields.leaf("host", host, PROBES);
        fields.leaf("scheme", scheme, PROBES);
        fields.nest("httpHeaders", http_headers);
    }
}

impl Classify for GrpcHealthCheckConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { port, service } = self;
        fields.leaf("port", port, PROBES);
        fields.leaf("service", service, PROBES);
    }
}

impl Classify for HttpHeader {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, value } = self;
        fields.leaf("name", name, PROBES);
        fields.leaf("value", value, PROBES);
    }
}

impl Classify for TcpHealthCheckConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { host, port } = self;
        fields.leaf("host", host, PROBES);
        fields.leaf("port", port, PROBES);
    }
}

impl Classify for ExecHealthCheckConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { command } = self;
        fields.leaf("command", command, PROBES);
    }
}
