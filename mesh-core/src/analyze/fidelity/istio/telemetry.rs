//! Fields of a Telemetry.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::resource::istio::telemetry::{
    AccessLogging, CustomTag, Environment, Filter, Formatter, Literal, LogSelector, MetricSelector,
    Metrics, MetricsOverrides, RequestHeader, TagOverride, Telemetry, Tracing, TracingSelector,
};

impl Classify for Telemetry {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            target_ref,
            target_refs,
            tracing,
            metrics,
            access_logging,
        } = self;
        fields.leaf("selector", selector, Capability::Metrics);
        fields.leaf("targetRef", target_ref, Capability::Metrics);
        fields.leaf("targetRefs", target_refs, Capability::Metrics);
        fields.nest("tracing", tracing);
        fields.nest("metrics", metrics);
        fields.nest("accessLogging", access_logging);
    }
}

impl Classify for Tracing {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#match,
            providers,
            random_sampling_percentage,
            disable_span_reporting,
            custom_tags,
            use_request_id_for_trace_sampling,
            enable_istio_tags,
            disable_context_propagation,
        } = self;
        fields.nest("match", r#match);
        fields.leaf("providers", providers, Capability::Tracing);
        fields.leaf(
            "randomSamplingPercentage",
            random_sampling_percentage,
            Capability::Tracing,
        );
        fields.leaf(
            "disableSpanReporting",
            disable_span_reporting,
            Capability::Tracing,
        );
        fields.nest("customTags", custom_tags);
        fields.leaf(
            "useRequestIdForTraceSampling",
            use_request_id_for_trace_sampling,
            Capability::Tracing,
        );
        fields.leaf("enableIstioTags", enable_istio_tags, Capability::Tracing);
        fields.leaf(
            "disableContextPropagation",
            disable_context_propagation,
            Capability::Tracing,
        );
    }
}

impl Classify for TracingSelector {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode } = self;
        fields.leaf("mode", mode, Capability::Tracing);
    }
}

impl Classify for CustomTag {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            literal,
            environment,
            header,
            formatter,
        } = self;
        fields.nest("literal", literal);
        fields.nest("environment", environment);
        fields.nest("header", header);
        fields.nest("formatter", formatter);
    }
}

impl Classify for Literal {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { value } = self;
        fields.leaf("value", value, Capability::Tracing);
    }
}

impl Classify for Environment {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            default_value,
        } = self;
        fields.leaf("name", name, Capability::Tracing);
        fields.leaf("defaultValue", default_value, Capability::Tracing);
    }
}

impl Classify for RequestHeader {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            default_value,
        } = self;
        fields.leaf("name", name, Capability::Tracing);
        fields.leaf("defaultValue", default_value, Capability::Tracing);
    }
}

impl Classify for Formatter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { value } = self;
        fields.leaf("value", value, Capability::Tracing);
    }
}

impl Classify for Metrics {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            providers,
            overrides,
            reporting_interval,
        } = self;
        fields.leaf("providers", providers, Capability::Metrics);
        fields.nest("overrides", overrides);
        fields.leaf("reportingInterval", reporting_interval, Capability::Metrics);
    }
}

impl Classify for MetricSelector {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            metric,
            custom_metric,
            mode,
        } = self;
        fields.leaf("metric", metric, Capability::Metrics);
        fields.leaf("customMetric", custom_metric, Capability::Metrics);
        fields.leaf("mode", mode, Capability::Metrics);
    }
}

impl Classify for MetricsOverrides {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#match,
            disabled,
            tag_overrides,
        } = self;
        fields.nest("match", r#match);
        fields.leaf("disabled", disabled, Capability::Metrics);
        fields.nest("tagOverrides", tag_overrides);
    }
}

impl Classify for TagOverride {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { operation, value } = self;
        fields.leaf("operation", operation, Capability::Metrics);
        fields.leaf("value", value, Capability::Metrics);
    }
}

impl Classify for AccessLogging {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#match,
            providers,
            disabled,
            filter,
        } = self;
        fields.nest("match", r#match);
        fields.leaf("providers", providers, Capability::AccessLogs);
        fields.leaf("disabled", disabled, Capability::AccessLogs);
        fields.nest("filter", filter);
    }
}

impl Classify for LogSelector {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode } = self;
        fields.leaf("mode", mode, Capability::AccessLogs);
    }
}

impl Classify for Filter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { expression } = self;
        fields.leaf("expression", expression, Capability::AccessLogs);
    }
}
