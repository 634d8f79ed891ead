//! Rules of Telemetry (`ValidateTelemetry`).
//!
//! ```
//! use mesh_core::resource::istio::telemetry::Filter;
//! use mesh_core::validate::{Report, telemetry};
//!
//! let report = Report::default();
//! let filter = Filter { expression: "response.code >=".into() };
//! telemetry::validate_filter(&filter, report.root());
//! assert_eq!(
//!     report.into_violations()[0].message,
//!     "`response.code >=` is not an expression of CEL"
//! );
//! ```

mod cel;

use super::selector::Attachment;
use super::{At, duration};
use crate::resource::Resource;
use crate::resource::istio::telemetry::{
    CustomTag, Filter, Metrics, MetricsOverrides, ProviderRef, TagOperation, TagOverride,
    Telemetry, Tracing,
};

/// Checks a Telemetry.
pub fn validate(resource: &Resource<Telemetry>, at: At<'_>) {
    let Telemetry {
        selector,
        target_ref,
        target_refs,
        tracing,
        metrics,
        access_logging,
    } = &resource.spec;
    let at = at.field("spec");
    let attachment = Attachment {
        selector: selector.as_ref(),
        target_ref: target_ref.as_ref(),
        target_refs,
    };
    attachment.validate(at);
    at.field("metrics").each(metrics, validate_metrics);
    if tracing.len() > 1 {
        at.field("tracing")
            .warning("only the first of several has an effect");
    }
    at.field("tracing").each(tracing, validate_tracing);
    at.field("accessLogging")
        .each(access_logging, |logging, at| {
            if let Some(filter) = &logging.filter {
                validate_filter(filter, at.field("filter"));
            }
            validate_providers(&logging.providers, at.field("providers"));
        });
}

/// Checks the filter of an access log (`validateTelemetryFilter`).
pub fn validate_filter(filter: &Filter, at: At<'_>) {
    let Filter { expression } = filter;
    if !cel::is_expression(expression) {
        at.field("expression")
            .error(format_args!("`{expression}` is not an expression of CEL"));
    }
}

fn validate_providers(providers: &[ProviderRef], at: At<'_>) {
    at.each(providers, |provider, at| {
        at.field("name")
            .require(!provider.name.is_empty(), "the provider has a name");
    });
}

fn validate_tracing(tracing: &Tracing, at: At<'_>) {
    let providers = at.field("providers");
    if tracing.providers.len() > 1 {
        providers.warning("only the first of several providers has an effect");
    }
    validate_providers(&tracing.providers, providers);
    let sampling = tracing.random_sampling_percentage;
    if let Some(percent) = sampling.filter(|percent| !(0.0..=100.0).contains(percent)) {
        at.field("randomSamplingPercentage")
            .error(format_args!("percentage `{percent}` is not from 0 to 100"));
    }
    at.field("customTags")
        .each_entry(&tracing.custom_tags, |name, tag, at| {
            at.require(!name.is_empty(), "a tag has a name");
            validate_tag(tag, at);
        });
}

fn validate_tag(tag: &CustomTag, at: At<'_>) {
    let CustomTag {
        literal,
        environment,
        header,
        formatter,
    } = tag;
    let values = [
        (
            "literal",
            "value",
            literal.as_ref().map(|literal| &literal.value),
        ),
        (
            "environment",
            "name",
            environment.as_ref().map(|environment| &environment.name),
        ),
        ("header", "name", header.as_ref().map(|header| &header.name)),
        (
            "formatter",
            "value",
            formatter.as_ref().map(|formatter| &formatter.value),
        ),
    ];
    at.at_most_one(&[
        ("literal", literal.is_some()),
        ("environment", environment.is_some()),
        ("header", header.is_some()),
        ("formatter", formatter.is_some()),
    ]);
    for (kind, field, value) in values {
        if value.is_some_and(String::is_empty) {
            at.field(kind).field(field).error("a value cannot be empty");
        }
    }
}

fn validate_metrics(metrics: &Metrics, at: At<'_>) {
    let Metrics {
        providers,
        overrides,
        reporting_interval,
    } = metrics;
    validate_providers(providers, at.field("providers"));
    duration::validate_minimum(*reporting_interval, at.field("reportingInterval"));
    at.field("overrides").each(overrides, |metric, at| {
        let MetricsOverrides {
            r#match,
            disabled: _,
            tag_overrides,
        } = metric;
        if let Some(matcher) = r#match {
            let at = at.field("match");
            at.at_most_one(&[
                ("metric", matcher.metric.is_some()),
                ("customMetric", matcher.custom_metric.is_some()),
            ]);
            if matcher.custom_metric.as_deref() == Some("") {
                at.field("customMetric").error("the metric has a name");
            }
        }
        at.field("tagOverrides")
            .each_entry(tag_overrides, |name, tag, at| {
                if name.is_empty() {
                    at.warning("a tag has a name");
                }
                validate_tag_override(tag, at);
            });
    });
}

fn validate_tag_override(tag: &TagOverride, at: At<'_>) {
    let TagOverride { operation, value } = tag;
    match operation.unwrap_or_default() {
        TagOperation::Upsert => {
            let is_set = value.as_ref().is_some_and(|value| !value.is_empty());
            at.require(is_set, "a tag that is set has a `value`");
        }
        TagOperation::Remove => {
            at.require(value.is_none(), "a tag that is removed has no `value`");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    fn telemetry(spec: &serde_json::Value) -> Resource<Telemetry> {
        Resource {
            spec: read(spec.clone()),
            ..Resource::default()
        }
    }

    #[test]
    fn names_and_values_are_not_empty() {
        let metrics =
            |overrides: serde_json::Value| json!({"metrics": [{"overrides": [overrides]}]});
        let tag = |tag: serde_json::Value| metrics(json!({"tagOverrides": {"a": tag}}));
        let custom = |tag: serde_json::Value| json!({"tracing": [{"customTags": {"a": tag}}]});
        let cases = [
            (json!({}), 0),
            (
                json!({"metrics": [{"providers": [{"name": "prometheus"}]}]}),
                0,
            ),
            (json!({"metrics": [{"providers": [{}]}]}), 1),
            (json!({"accessLogging": [{"providers": [{"name": ""}]}]}), 1),
            (
                json!({"accessLogging": [{"filter": {"expression": ")+"}}]}),
                1,
            ),
            (metrics(json!({"match": {"customMetric": ""}})), 1),
            (metrics(json!({"match": {"metric": "REQUEST_COUNT"}})), 0),
            (tag(json!({"value": "a"})), 0),
            (tag(json!({})), 1),
            (tag(json!({"operation": "REMOVE"})), 0),
            (tag(json!({"operation": "REMOVE", "value": "a"})), 1),
            (custom(json!({"literal": {"value": "a"}})), 0),
            (custom(json!({"literal": {}})), 1),
            (custom(json!({"header": {"name": ""}})), 1),
            (custom(json!({"environment": {}})), 1),
            (
                custom(json!({"environment": {"name": "A"}, "literal": {"value": "a"}})),
                1,
            ),
            (json!({"tracing": [{"randomSamplingPercentage": 100.1}]}), 1),
        ];
        for (spec, errors) in cases {
            assert_errors(&spec.to_string(), errors, |at| {
                validate(&telemetry(&spec), at)
            });
        }
    }

    #[test]
    fn what_has_no_effect_is_a_warning() {
        let providers = json!({"tracing": [{"providers": [{"name": "a"}, {"name": "b"}]}]});
        assert_warnings("providers", 1, |at| validate(&telemetry(&providers), at));
        assert_warnings("tracing", 1, |at| {
            validate(&telemetry(&json!({"tracing": [{}, {}]})), at);
        });
    }
}
