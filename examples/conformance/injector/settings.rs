//! The installation of a case: Helm's flags and files, and what the Go test changes.

use std::path::Path;

use mesh_core::resource::istio::mesh_config::{InboundInterceptionMode, MeshConfig, ProxyConfig};
use mesh_policy::admission::values::Values;
use mesh_policy::admission::{Injector, Template};
use serde_json::{Map, Value, json};

use crate::case::{list, text};
use crate::yaml;

/// The injector of a case.
pub(super) fn injector(case: &Value, directory: &Path) -> Result<Injector, String> {
    let mut values = json!({"global": {"hub": "registry.istio.io/testing", "tag": "latest"}});
    let file = text(case, "iop_file");
    if !file.is_empty() {
        let text = std::fs::read_to_string(directory.join(file));
        let operator = yaml::parse(&text.map_err(|error| error.to_string())?)?;
        let own = operator.pointer("/spec/values").cloned();
        overlay(&mut values, own.unwrap_or_default());
    }
    for flag in list(case, "set_flags").iter().filter_map(Value::as_str) {
        set(&mut values, flag)?;
    }
    let templates = values.pointer("/sidecarInjectorWebhook/templates").cloned();
    let values: Values = serde_json::from_value(values).map_err(|error| error.to_string())?;
    let mesh = MeshConfig {
        default_config: Some(changed(text(case, "mesh_mutation_go"))?),
        ..MeshConfig::default()
    };
    let setup = text(case, "setup_go");
    let is_old = setup.contains("NativeSidecarModeDisabled")
        || text(case, "suite") == "TestInjectionOlderVersion";
    let mut injector = Injector::new(values, mesh).with_native_sidecars(!is_old);
    if let Some((_, rest)) = setup.split_once("CompliancePolicy, \"") {
        let policy = rest.split('"').next().unwrap_or_default();
        injector = injector.with_compliance_policy(policy);
    } else if !setup.is_empty() && !setup.contains("EnableNativeSidecars") {
        return Err(format!("the set-up `{setup}` is not read here"));
    }
    let templates = templates.as_ref().and_then(Value::as_object);
    for (name, template) in templates.into_iter().flatten() {
        injector = injector.with_template(name, own_template(template)?);
    }
    Ok(injector)
}

/// A template of the user's own, which is a partial pod if it has none of Go's directives.
fn own_template(template: &Value) -> Result<Template, String> {
    let text = template.as_str().unwrap_or_default();
    if text.contains("{{") {
        return Err("templates in Go's language are not evaluated".into());
    }
    yaml::parse(text).map(Template::overlay)
}

/// Sets a value as `helm --set` does.
fn set(values: &mut Value, flag: &str) -> Result<(), String> {
    let (path, value) = flag.split_once('=').ok_or("a flag without a value")?;
    let path = match path {
        // A component that is enabled tells the control plane so.
        "components.cni.enabled" => "pilot.cni.enabled",
        "values.cni.provider" => "pilot.cni.provider",
        path => path
            .strip_prefix("values.")
            .ok_or_else(|| format!("the flag `{path}` is not read here"))?,
    };
    let value = value
        .parse::<i64>()
        .map(Value::from)
        .ok()
        .unwrap_or_else(|| match value {
            "true" => true.into(),
            "false" => false.into(),
            "null" => Value::Null,
            text => text.into(),
        });
    let nested = path
        .rsplit('.')
        .fold(value, |value, name| json!({ name: value }));
    overlay(values, nested);
    Ok(())
}

fn overlay(target: &mut Value, own: Value) {
    match (target, own) {
        (Value::Object(target), Value::Object(own)) => {
            for (name, value) in own {
                let empty = Value::Object(Map::new());
                overlay(target.entry(name).or_insert(empty), value);
            }
        }
        (target, own) => *target = own,
    }
}

/// The proxy's configuration after the assignments of a Go test.
fn changed(go: &str) -> Result<ProxyConfig, String> {
    let mut config = ProxyConfig::default();
    for line in go
        .lines()
        .map(str::trim)
        .filter(|line| !is_scaffolding(line))
    {
        let unknown = || format!("the change `{line}` is not read here");
        let (field, value) = line.split_once(" = ").ok_or_else(unknown)?;
        let field = field.strip_prefix("m.DefaultConfig.").ok_or_else(unknown)?;
        assign(&mut config, field, value).ok_or_else(unknown)?;
    }
    Ok(config)
}

/// Lines of Go that only make room for an assignment.
fn is_scaffolding(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("if ")
        || line == "}"
        || line.contains("= map[string]string{}")
}

fn assign(config: &mut ProxyConfig, field: &str, value: &str) -> Option<()> {
    let seconds = || {
        let number = value
            .strip_prefix("durationpb.New(time.Second * ")?
            .strip_suffix(')')?;
        format!("{number}s").parse().ok()
    };
    match field {
        "DrainDuration" => config.drain_duration = Some(seconds()?),
        "TerminationDrainDuration" => config.termination_drain_duration = Some(seconds()?),
        "InterceptionMode" => {
            config.interception_mode = Some(match value.rsplit('_').next()? {
                "TPROXY" => InboundInterceptionMode::Tproxy,
                "NONE" => InboundInterceptionMode::None,
                _ => InboundInterceptionMode::Redirect,
            });
        }
        // An empty message is what is there without it.
        "Tracing" => (value == "&meshapi.Tracing{}").then_some(())?,
        "StatusPort" => config.status_port = Some(value.parse().ok()?),
        _ => {
            let name = field
                .strip_prefix("ProxyMetadata[\"")?
                .strip_suffix("\"]")?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            config.proxy_metadata.insert(name.into(), value.into());
        }
    }
    Some(())
}
