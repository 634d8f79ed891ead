//! Policies of a destination, of DestinationRules and of the mesh.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::destination_rule::{
    ClientTlsSettings, ConnectionKeepalive, ConnectionPoolSettings, HttpSettings, OutlierDetection,
    PortTrafficPolicy, ProxyProtocol, RetryBudget, TcpKeepalive, TcpSettings, TrafficPolicy,
    TunnelSettings,
};

const OBSOLETE: Support = Support::NotApplicable("Istio does not read it");

impl Classify for TrafficPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            load_balancer,
            connection_pool,
            outlier_detection,
            tls,
            port_level_settings,
            tunnel,
            proxy_protocol,
            retry_budget,
        } = self;
        fields.nest("loadBalancer", load_balancer);
        fields.nest("connectionPool", connection_pool);
        fields.nest("outlierDetection", outlier_detection);
        fields.nest("tls", tls);
        fields.nest("portLevelSettings", port_level_settings);
        fields.nest("tunnel", tunnel);
        fields.nest("proxyProtocol", proxy_protocol);
        fields.nest("retryBudget", retry_budget);
    }
}

impl Classify for PortTrafficPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            port,
            load_balancer,
            connection_pool,
            outlier_detection,
            tls,
        } = self;
        fields.leaf("port", port, Capability::Discovery);
        fields.nest("loadBalancer", load_balancer);
        fields.nest("connectionPool", connection_pool);
        fields.nest("outlierDetection", outlier_detection);
        fields.nest("tls", tls);
    }
}

impl Classify for TunnelSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            protocol,
            target_host,
            target_port,
        } = self;
        fields.leaf("protocol", protocol, Capability::Tunnels);
        fields.leaf("targetHost", target_host, Capability::Tunnels);
        fields.leaf("targetPort", target_port, Capability::Tunnels);
    }
}

impl Classify for ProxyProtocol {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { version } = self;
        fields.leaf("version", version, Capability::ProxyProtocol);
    }
}

impl Classify for RetryBudget {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            percent,
            min_retry_concurrency,
            budget_interval,
        } = self;
        fields.leaf("percent", percent, Capability::Retries);
        fields.leaf(
            "minRetryConcurrency",
            min_retry_concurrency,
            Capability::Retries,
        );
        fields.leaf("budgetInterval", budget_interval, Capability::Retries);
    }
}

impl Classify for ClientTlsSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            mode,
            client_certificate,
            private_key,
            ca_certificates,
            credential_name,
            subject_alt_names,
            sni,
            insecure_skip_verify,
            ca_crl,
        } = self;
        fields.leaf("mode", mode, Capability::ClientTls);
        fields.leaf(
            "clientCertificate",
            client_certificate,
            Capability::ClientTls,
        );
        fields.leaf("privateKey", private_key, Capability::ClientTls);
        fields.leaf("caCertificates", ca_certificates, Capability::ClientTls);
        fields.leaf("credentialName", credential_name, Capability::ClientTls);
        fields.leaf("subjectAltNames", subject_alt_names, Capability::ClientTls);
        fields.leaf("sni", sni, Capability::ClientTls);
        fields.leaf(
            "insecureSkipVerify",
            insecure_skip_verify,
            Capability::ClientTls,
        );
        fields.leaf("caCrl", ca_crl, Capability::ClientTls);
    }
}

impl Classify for ConnectionPoolSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { tcp, http } = self;
        fields.nest("tcp", tcp);
        fields.nest("http", http);
    }
}

impl Classify for TcpSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            max_connections,
            connect_timeout,
            tcp_keepalive,
            max_connection_duration,
            idle_timeout,
        } = self;
        fields.leaf(
            "maxConnections",
            max_connections,
            Capability::ConnectionPools,
        );
        fields.leaf(
            "connectTimeout",
            connect_timeout,
            Capability::ConnectionPools,
        );
        fields.nest("tcpKeepalive", tcp_keepalive);
        fields.leaf(
            "maxConnectionDuration",
            max_connection_duration,
            Capability::ConnectionPools,
        );
        fields.leaf("idleTimeout", idle_timeout, Capability::ConnectionPools);
    }
}

impl Classify for TcpKeepalive {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            probes,
            time,
            interval,
        } = self;
        fields.leaf("probes", probes, Capability::ConnectionPools);
        fields.leaf("time", time, Capability::ConnectionPools);
        fields.leaf("interval", interval, Capability::ConnectionPools);
    }
}

impl Classify for HttpSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            http1_max_pending_requests,
            http2_max_requests,
            max_requests_per_connection,
            max_retries,
            idle_timeout,
            h2_upgrade_policy,
            use_client_protocol,
            max_concurrent_streams,
            http2_keep_alive,
        } = self;
        fields.leaf(
            "http1MaxPendingRequests",
            http1_max_pending_requests,
            Capability::ConnectionPools,
        );
        fields.leaf(
            "http2MaxRequests",
            http2_max_requests,
            Capability::ConnectionPools,
        );
        fields.leaf(
            "maxRequestsPerConnection",
            max_requests_per_connection,
            Capability::ConnectionPools,
        );
        fields.leaf("maxRetries", max_retries, Capability::ConnectionPools);
        fields.leaf("idleTimeout", idle_timeout, Capability::ConnectionPools);
        fields.leaf(
            "h2UpgradePolicy",
            h2_upgrade_policy,
            Capability::ConnectionPools,
        );
        fields.leaf(
            "useClientProtocol",
            use_client_protocol,
            Capability::ConnectionPools,
        );
        fields.leaf(
            "maxConcurrentStreams",
            max_concurrent_streams,
            Capability::ConnectionPools,
        );
        fields.nest("http2KeepAlive", http2_keep_alive);
    }
}

impl Classify for ConnectionKeepalive {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { interval, timeout } = self;
        fields.leaf("interval", interval, Capability::ConnectionPools);
        fields.leaf("timeout", timeout, Capability::ConnectionPools);
    }
}

impl Classify for OutlierDetection {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            consecutive_errors,
            split_external_local_origin_errors,
            consecutive_local_origin_failures,
            consecutive_gateway_errors,
            consecutive_5xx_errors,
            interval,
            base_ejection_time,
            max_ejection_percent,
            min_health_percent,
            outlier_detection_http_error_codes,
        } = self;
        fields.leaf("consecutiveErrors", consecutive_errors, OBSOLETE);
        fields.leaf(
            "splitExternalLocalOriginErrors",
            split_external_local_origin_errors,
            Capability::OutlierDetection,
        );
        fields.leaf(
            "consecutiveLocalOriginFailures",
            consecutive_local_origin_failures,
            Capability::OutlierDetection,
        );
        fields.leaf(
            "consecutiveGatewayErrors",
            consecutive_gateway_errors,
            Capability::OutlierDetection,
        );
        fields.leaf(
            "consecutive5xxErrors",
            consecutive_5xx_errors,
            Capability::OutlierDetection,
        );
        fields.leaf("interval", interval, Capability::OutlierDetection);
        fields.leaf(
            "baseEjectionTime",
            base_ejection_time,
            Capability::OutlierDetection,
        );
        fields.leaf(
            "maxEjectionPercent",
            max_ejection_percent,
            Capability::OutlierDetection,
        );
        fields.leaf(
            "minHealthPercent",
            min_health_percent,
            Capability::OutlierDetection,
        );
        fields.leaf(
            "outlierDetectionHttpErrorCodes",
            outlier_detection_http_error_codes,
            Capability::OutlierDetection,
        );
    }
}
