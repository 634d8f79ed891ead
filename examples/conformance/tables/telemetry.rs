//! Telemetry: formats of access logs, and whether two settings are the same.

use mesh_core::resource::istio::telemetry::{AccessLogging, Metrics, Tracing};
use mesh_policy::telemetry::access_log::LogFormat;
use serde_json::Value;

use super::{Row, Run, go};
use crate::case::Outcome;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("telemetry_logging_test.go", "TestFileAccessLogFormat") => Some(format),
        ("telemetry_test.go", "Test_computedTelemetries_Equal") => Some(equal),
        _ => None,
    }
}

/// Formats are the same if all their lines are.
fn format(row: &Row<'_>) -> Option<Outcome> {
    let [format, expected] = ["formatString", "expected"].map(|name| row.text(name));
    let [found, expected] = [LogFormat::text(format?), LogFormat::text(expected?)];
    Some(match (found, expected) {
        (Ok(found), Ok(expected)) => Outcome::equal(&expected, &found),
        (Err(error), _) | (_, Err(error)) => Outcome::Failed(error.to_string()),
    })
}

/// What is traced, counted and logged, and who said the latter.
#[derive(PartialEq)]
struct Computed {
    metrics: Vec<Metrics>,
    tracing: Vec<Tracing>,
    logging: Vec<(Vec<AccessLogging>, Option<Value>)>,
}

fn equal(row: &Row<'_>) -> Option<Outcome> {
    let other = row.field("args").and_then(|args| args.get("other"));
    let other = other.filter(|other| !other.is_null());
    let same = computed(row.field("computedTelemetries"))? == computed(other)?;
    Some(Outcome::equal(&row.flag("want")?, &same))
}

fn computed(written: Option<&Value>) -> Option<Option<Computed>> {
    let Some(written) = written.map(Row) else {
        return Some(None);
    };
    let logging = written.field("Logging").and_then(Value::as_array);
    let logging = logging.into_iter().flatten().map(|entry| {
        let entry = Row(entry);
        let logging = go::read_list(entry.field("Logging"))?;
        Some((logging, entry.field("telemetryKey").cloned()))
    });
    Some(Some(Computed {
        metrics: go::read_list(written.field("Metrics"))?,
        tracing: go::read_list(written.field("Tracing"))?,
        logging: logging.collect::<Option<_>>()?,
    }))
}
