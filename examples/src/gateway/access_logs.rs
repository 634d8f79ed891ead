//! Access logs: of Istio's built-in provider, and of the files that MeshConfig names.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::format_string::Constants;
use mesh_core::model::{Model, Notice};
use mesh_core::resource::istio::mesh_config::{
    AccessLogEncoding, EnvoyFileAccessLogProvider, LogFormat as WrittenFormat,
};
use mesh_core::resource::istio::telemetry::Telemetry;
use mesh_core::resource::{Resource, Value};
use mesh_policy::telemetry::access_log::{
    AccessLogLayer, LogFormat, LogScope, Logger, log_providers,
};
use mesh_policy::telemetry::trace::Direction;

use super::Settings;
use super::by_direction::ByDirection;
use super::mesh_wide::MeshWide;

/// Istio's built-in provider of access logs.
const ENVOY: &str = "envoy";
/// Where logs go that say nothing else.
const STDOUT: &str = "/dev/stdout";

/// Where requests are logged to.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Target {
    /// The file of the mesh, or what the gateway is told, without a provider.
    File,
    Provider(String),
}

type AccessLogs = (
    ByDirection<Option<AccessLogLayer>>,
    Vec<Notice>,
    Vec<String>,
);

/// What the Telemetry resources of `model`, the mesh and the settings ask to be logged, and what of it
/// is not.
pub(super) fn access_logs(model: &Model, wide: &MeshWide, settings: &Settings) -> AccessLogs {
    let telemetry = &model.policies.telemetry;
    let (mut notices, mut warnings) = (Vec::new(), Vec::new());
    let logs = ByDirection::compile(&model.workload, |direction| {
        let (log, found, told) = access_log(telemetry, direction, (wide, settings));
        notices.extend(found);
        warnings.extend(told);
        log
    });
    (logs, notices, warnings)
}

/// The same of one direction.
fn access_log(
    telemetry: &[Arc<Resource<Telemetry>>],
    direction: Direction,
    (wide, settings): (&MeshWide, &Settings),
) -> (Option<AccessLogLayer>, Vec<Notice>, Vec<String>) {
    let (targets, notices) = targets(telemetry, direction, (wide, settings));
    let mut warnings = Vec::new();
    let mut formats = Vec::new();
    for (target, scope) in targets {
        let filter = match scope {
            LogScope::Everything => None,
            LogScope::Filtered(filter) => Some(filter),
            LogScope::Nothing => continue,
        };
        let format = format(&target, (wide, &settings.constants), &mut warnings);
        formats.extend(format.map(|format| (format, filter)));
    }
    if formats.is_empty() {
        return (None, notices, warnings);
    }
    let Some(sink) = &settings.access_log else {
        warnings.push("an access log is asked for, and there is nowhere to write it".to_owned());
        return (None, notices, warnings);
    };
    let loggers = formats.into_iter().map(|(format, filter)| {
        let logger = Logger::new(format, sink.clone());
        match filter {
            Some(filter) => logger.with_filter(filter),
            None => logger,
        }
    });
    (Some(AccessLogLayer::new(loggers)), notices, warnings)
}

/// What is logged where. Where no provider is configured, everything is logged to the file of the mesh, or
/// because the gateway is told to.
fn targets(
    telemetry: &[Arc<Resource<Telemetry>>],
    direction: Direction,
    (wide, settings): (&MeshWide, &Settings),
) -> (BTreeMap<Target, LogScope>, Vec<Notice>) {
    let mesh = wide.options.as_written();
    let defaults = mesh.default_providers.as_ref();
    let defaults = defaults.map_or(&[][..], |defaults| &defaults.access_logging);
    let is_client = direction == Direction::Client;
    let (providers, notices) = log_providers(telemetry, defaults, is_client);
    let file = mesh.access_log_file.as_deref().unwrap_or_default();
    let falls_back = settings.log_all || !file.is_empty();
    let falls_back = falls_back && !providers.keys().any(|name| logs(name, wide));
    let providers = providers.into_iter();
    let file = falls_back.then_some((Target::File, LogScope::Everything));
    let targets = providers.map(|(name, scope)| (Target::Provider(name), scope));
    (targets.chain(file).collect(), notices)
}

/// Whether a provider is one of access logs.
fn logs(name: &str, wide: &MeshWide) -> bool {
    let mut known = wide.options.extension_providers();
    let provider = known.find(|provider| provider.name.eq_ignore_ascii_case(name));
    let Some(provider) = provider else {
        return name.eq_ignore_ascii_case(ENVOY);
    };
    provider.envoy_file_access_log.is_some()
        || provider.envoy_http_als.is_some()
        || provider.envoy_tcp_als.is_some()
        || provider.envoy_otel_als.is_some()
}

/// How is logged; `None` if nothing is.
fn format(
    target: &Target,
    (wide, constants): (&MeshWide, &Constants),
    warnings: &mut Vec<String>,
) -> Option<LogFormat> {
    let Target::Provider(name) = target else {
        let (format, problem) = of_mesh(wide, constants);
        warnings.extend(problem);
        return Some(format);
    };
    let is_built_in = name.eq_ignore_ascii_case(ENVOY);
    let mut providers = wide.options.extension_providers();
    let provider = providers.find(|provider| provider.name.eq_ignore_ascii_case(name));
    let file = provider.and_then(|provider| provider.envoy_file_access_log.as_ref());
    let path = file.map_or(STDOUT, |file| &file.path);
    if !path.is_empty() && path != STDOUT {
        warnings.push(format!(
            "provider `{name}` logs where the others do, not to `{path}`"
        ));
    }
    let (format, problem) = match file {
        // Who gives the built-in provider no format of its own means that of the mesh.
        Some(file) if is_built_in && file.log_format.is_none() && !file.omit_empty_values => {
            of_mesh(wide, constants)
        }
        Some(file) => of_file(name, file, constants),
        None if provider.is_none() && is_built_in => of_mesh(wide, constants),
        None => {
            warnings.push(format!("nothing is logged to the provider `{name}`"));
            return None;
        }
    };
    warnings.extend(problem);
    Some(format)
}

/// A format, and why it is Istio's and not the one that was written.
type Told = (LogFormat, Option<String>);

/// The format of the built-in provider.
fn of_mesh(wide: &MeshWide, constants: &Constants) -> Told {
    let mesh = wide.options.as_written();
    let written = mesh.access_log_format.as_deref();
    let written = written.filter(|text| !text.is_empty());
    match (mesh.access_log_encoding, written) {
        (Some(AccessLogEncoding::Json), None) => (LogFormat::istio_json(), None),
        (_, None) => (LogFormat::istio_text(), None),
        (Some(AccessLogEncoding::Json), Some(written)) => {
            let labels = serde_json::from_str(written).map_err(|error| error.to_string());
            let parsed = labels.and_then(|labels| json(&labels, constants));
            told("accessLogFormat", parsed, LogFormat::istio_json)
        }
        (_, Some(written)) => told(
            "accessLogFormat",
            text(written, constants),
            LogFormat::istio_text,
        ),
    }
}

/// The format of a file that MeshConfig names.
fn of_file(name: &str, file: &EnvoyFileAccessLogProvider, constants: &Constants) -> Told {
    let WrittenFormat {
        text: written,
        labels,
    } = file.log_format.clone().unwrap_or_default();
    let written = written.filter(|text| !text.is_empty());
    let (format, problem) = match (written, labels) {
        (Some(written), _) => told(name, text(&written, constants), LogFormat::istio_text),
        (None, Some(labels)) if labels.is_empty() => (LogFormat::istio_json(), None),
        (None, Some(labels)) => told(name, json(&labels, constants), LogFormat::istio_json),
        (None, None) => (LogFormat::istio_text(), None),
    };
    (format.with_empty_omitted(file.omit_empty_values), problem)
}

fn text(written: &str, constants: &Constants) -> Result<LogFormat, String> {
    LogFormat::text_with(written, constants).map_err(|error| error.to_string())
}

fn json(labels: &BTreeMap<String, Value>, constants: &Constants) -> Result<LogFormat, String> {
    LogFormat::json_with(labels, constants).map_err(|error| error.to_string())
}

/// One that cannot be written is told, and Istio's stands for it.
fn told(of: &str, parsed: Result<LogFormat, String>, istio: fn() -> LogFormat) -> Told {
    match parsed {
        Ok(format) => (format, None),
        Err(error) => {
            let problem = format!("the format of `{of}` is not used, Istio's is: {error}");
            (istio(), Some(problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::config::options::MeshOptions;
    use mesh_core::parse::{Limits, parse_as};
    use serde_json::json;

    use super::*;

    fn mesh(settings: serde_json::Value) -> MeshWide {
        MeshWide {
            options: MeshOptions::new(serde_json::from_value(settings).unwrap()),
            ..MeshWide::default()
        }
    }

    /// The providers that log, or say that nothing is logged to them.
    fn names(telemetry: &[&str], mesh: &MeshWide, log_all: bool) -> Vec<String> {
        let settings = Settings {
            log_all,
            ..Settings::default()
        };
        let telemetry = telemetry.iter().map(|logging| {
            let text = format!("accessLogging: {logging}");
            let (spec, _) = parse_as("telemetry.yaml", &text, &Limits::default()).unwrap();
            Arc::new(Resource::<Telemetry> {
                spec,
                ..Resource::default()
            })
        });
        let telemetry: Vec<_> = telemetry.collect();
        let (targets, _) = targets(&telemetry, Direction::Client, (mesh, &settings));
        let names = targets.into_iter().map(|(target, scope)| {
            let name = match target {
                Target::File => "(file)".to_owned(),
                Target::Provider(name) => name,
            };
            match scope {
                LogScope::Nothing => format!("{name} off"),
                _ => name,
            }
        });
        names.collect()
    }

    #[test]
    fn the_mesh_says_whether_requests_are_logged() {
        for (settings, log_all, expected) in [
            (json!({}), false, &[][..]),
            (json!({}), true, &["(file)"]),
            (json!({"accessLogFile": ""}), false, &[]),
            (json!({"accessLogFile": "/dev/stdout"}), false, &["(file)"]),
            (
                json!({
                    "accessLogFile": "/dev/stdout",
                    "defaultProviders": {"accessLogging": ["mine"]},
                    "extensionProviders": [{"name": "mine", "envoyFileAccessLog": {}}],
                }),
                true,
                &["mine"],
            ),
        ] {
            let names = names(&[], &mesh(settings.clone()), log_all);
            assert_eq!(names, expected, "{settings}");
        }
    }

    #[test]
    fn the_file_of_the_mesh_is_for_where_no_provider_is_configured() {
        let mesh = mesh(json!({"accessLogFile": "/dev/stdout"}));
        for (logging, expected) in [
            (
                "[{ providers: [{ name: envoy }], disabled: true }]",
                &["envoy off"][..],
            ),
            // As in Istio: no provider is disabled by this.
            ("[{ disabled: true }]", &["(file)"]),
            (
                "[{ match: { mode: SERVER }, providers: [{ name: mine }] }]",
                &["(file)"],
            ),
        ] {
            assert_eq!(names(&[logging], &mesh, false), expected, "{logging}");
        }
    }

    #[test]
    fn the_mesh_says_how_requests_are_logged() {
        let text = |format: &str| LogFormat::text(format).unwrap();
        let status = BTreeMap::from([("code".to_owned(), Value::String("%RESPONSE_CODE%".into()))]);
        let labels = r#"{"code": "%RESPONSE_CODE%"}"#;
        for (settings, expected) in [
            (json!({}), LogFormat::istio_text()),
            (
                json!({"accessLogEncoding": "JSON"}),
                LogFormat::istio_json(),
            ),
            (json!({"accessLogFormat": "%DURATION%"}), text("%DURATION%")),
            (
                json!({"accessLogEncoding": "JSON", "accessLogFormat": labels}),
                LogFormat::json(&status).unwrap(),
            ),
        ] {
            let (format, problem) = of_mesh(&mesh(settings.clone()), &Constants::default());
            assert_eq!((format, problem), (expected, None), "{settings}");
        }
        let wrong = mesh(json!({"accessLogFormat": "%NONSENSE%"}));
        let (format, problem) = of_mesh(&wrong, &Constants::default());
        assert_eq!(format, LogFormat::istio_text());
        let problem = problem.unwrap();
        assert!(
            problem.contains("accessLogFormat") && problem.contains("NONSENSE"),
            "{problem}"
        );
    }

    #[test]
    fn the_built_in_provider_may_be_given_a_format_of_its_own() {
        let text = |format: &str| LogFormat::text(format).unwrap();
        for (name, provider, expected) in [
            ("envoy", None, text("of the mesh")),
            ("envoy", Some(json!({})), text("of the mesh")),
            (
                "Envoy",
                Some(json!({"logFormat": {"text": "its own"}})),
                text("its own"),
            ),
            (
                "envoy",
                Some(json!({"omitEmptyValues": true})),
                LogFormat::istio_text().with_empty_omitted(true),
            ),
        ] {
            let providers = provider.iter();
            let providers =
                providers.map(|file| json!({"name": "envoy", "envoyFileAccessLog": file}));
            let wide = mesh(json!({
                "accessLogFormat": "of the mesh",
                "extensionProviders": providers.collect::<Vec<_>>(),
            }));
            let mut warnings = Vec::new();
            let target = Target::Provider(name.to_owned());
            let format = format(&target, (&wide, &Constants::default()), &mut warnings);
            assert_eq!(
                (format, warnings),
                (Some(expected), Vec::new()),
                "{provider:?}"
            );
        }
    }
}
