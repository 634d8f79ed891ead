//! Which endpoint of a destination is taken.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::destination_rule::{
    BackendUtilizationLb, ConsistentHashLb, Distribute, Failover, HttpCookie, HttpCookieAttribute,
    LoadBalancerSettings, LocalityLoadBalancerSetting, MagLev, RingHash, WarmupConfiguration,
    ZoneAwareLoadBalancerSetting,
};

/// Weights by the load that endpoints report.
const UTILIZATION: Support = Support::never("load reports of endpoints (ORCA) are not read");

impl Classify for LoadBalancerSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            simple,
            consistent_hash,
            backend_utilization,
            locality_lb_setting,
            zone_aware_lb_setting,
            warmup_duration_secs,
            warmup,
        } = self;
        fields.leaf("simple", simple, Capability::LoadBalancing);
        fields.nest("consistentHash", consistent_hash);
        fields.nest("backendUtilization", backend_utilization);
        fields.nest("localityLbSetting", locality_lb_setting);
        fields.nest("zoneAwareLbSetting", zone_aware_lb_setting);
        fields.leaf(
            "warmupDurationSecs",
            warmup_duration_secs,
            Capability::LoadBalancing,
        );
        fields.nest("warmup", warmup);
    }
}

impl Classify for ConsistentHashLb {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            http_header_name,
            http_cookie,
            use_source_ip,
            http_query_parameter_name,
            ring_hash,
            maglev,
            minimum_ring_size,
        } = self;
        fields.leaf(
            "httpHeaderName",
            http_header_name,
            Capability::LoadBalancing,
        );
        fields.nest("httpCookie", http_cookie);
        fields.leaf("useSourceIp", use_source_ip, Capability::LoadBalancing);
        fields.leaf(
            "httpQueryParameterName",
            http_query_parameter_name,
            Capability::LoadBalancing,
        );
        fields.nest("ringHash", ring_hash);
        fields.nest("maglev", maglev);
        fields.leaf(
            "minimumRingSize",
            minimum_ring_size,
            Capability::LoadBalancing,
        );
    }
}

impl Classify for RingHash {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { minimum_ring_size } = self;
        fields.leaf(
            "minimumRingSize",
            minimum_ring_size,
            Capability::LoadBalancing,
        );
    }
}

impl Classify for MagLev {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { table_size } = self;
        fields.leaf("tableSize", table_size, Capability::LoadBalancing);
    }
}

impl Classify for HttpCookie {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            path,
            ttl,
            attributes,
        } = self;
        fields.leaf("name", name, Capability::LoadBalancing);
        fields.leaf("path", path, Capability::LoadBalancing);
        fields.leaf("ttl", ttl, Capability::LoadBalancing);
        fields.nest("attributes", attributes);
    }
}

impl Classify for HttpCookieAttribute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, value } = self;
        fields.leaf("name", name, Capability::LoadBalancing);
        fields.leaf("value", value, Capability::LoadBalancing);
    }
}

impl Classify for BackendUtilizationLb {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            weight_stabilization_period,
            weight_expiration_period,
            weight_update_period,
            error_utilization_penalty_percent,
            metric_names_for_computing_utilization,
        } = self;
        fields.leaf(
            "weightStabilizationPeriod",
            weight_stabilization_period,
            UTILIZATION,
        );
        fields.leaf(
            "weightExpirationPeriod",
            weight_expiration_period,
            UTILIZATION,
        );
        fields.leaf("weightUpdatePeriod", weight_update_period, UTILIZATION);
        fields.leaf(
            "errorUtilizationPenaltyPercent",
            error_utilization_penalty_percent,
            UTILIZATION,
        );
        fields.leaf(
            "metricNamesForComputingUtilization",
            metric_names_for_computing_utilization,
            UTILIZATION,
        );
    }
}

impl Classify for WarmupConfiguration {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            duration,
            minimum_percent,
            aggression,
        } = self;
        fields.leaf("duration", duration, Capability::LoadBalancing);
        fields.leaf("minimumPercent", minimum_percent, Capability::LoadBalancing);
        fields.leaf("aggression", aggression, Capability::LoadBalancing);
    }
}

impl Classify for LocalityLoadBalancerSetting {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            distribute,
            failover,
            failover_priority,
            enabled,
        } = self;
        fields.nest("distribute", distribute);
        fields.nest("failover", failover);
        fields.leaf(
            "failoverPriority",
            failover_priority,
            Capability::LoadBalancing,
        );
        fields.leaf("enabled", enabled, Capability::LoadBalancing);
    }
}

impl Classify for Distribute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { from, to } = self;
        fields.leaf("from", from, Capability::LoadBalancing);
        fields.leaf("to", to, Capability::LoadBalancing);
    }
}

impl Classify for Failover {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { from, to } = self;
        fields.leaf("from", from, Capability::LoadBalancing);
        fields.leaf("to", to, Capability::LoadBalancing);
    }
}

impl Classify for ZoneAwareLoadBalancerSetting {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            enabled,
            failover,
            failover_priority,
            min_cluster_size,
        } = self;
        fields.leaf("enabled", enabled, Capability::LoadBalancing);
        fields.nest("failover", failover);
        fields.leaf(
            "failoverPriority",
            failover_priority,
            Capability::LoadBalancing,
        );
        fields.leaf(
            "minClusterSize",
            min_cluster_size,
            Capability::LoadBalancing,
        );
    }
}
