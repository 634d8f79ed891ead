//! Header operations, and settings of other filters.

use mesh_core::format_string::{Constants, HeaderFormat, ParseFormatError};
use mesh_core::model::filter::{AppendAction, HeaderMutation, HeaderMutations, HeaderOption};
use serde_json::Value;

use super::config;
use super::refusal::{Refusal, header_name};

const FILTER_CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/// The header operations of one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operations<'a> {
    pub(super) request_add: &'a [config::HeaderValueOption],
    pub(super) request_remove: &'a [String],
    pub(super) response_add: &'a [config::HeaderValueOption],
    pub(super) response_remove: &'a [String],
}

macro_rules! operations_of {
    ($level:expr) => {
        $crate::envoy::headers::Operations {
            request_add: &$level.request_headers_to_add,
            request_remove: &$level.request_headers_to_remove,
            response_add: &$level.response_headers_to_add,
            response_remove: &$level.response_headers_to_remove,
        }
    };
}
pub(super) use operations_of;

/// The operations for requests and responses.
pub(super) fn mutations(operations: Operations<'_>) -> Result<HeaderMutations, Refusal> {
    Ok(HeaderMutations {
        request: mutation(operations.request_add, operations.request_remove)?,
        response: mutation(operations.response_add, operations.response_remove)?,
    })
}

fn mutation(
    add: &[config::HeaderValueOption],
    remove: &[String],
) -> Result<HeaderMutation, Refusal> {
    let removed = |name: &String| {
        protected(name)?;
        header_name("headers_to_remove", name)
    };
    Ok(HeaderMutation {
        remove: remove.iter().map(removed).collect::<Result<_, _>>()?,
        options: add.iter().map(option).collect::<Result<_, _>>()?,
    })
}

fn option(option: &config::HeaderValueOption) -> Result<HeaderOption, Refusal> {
    let Some(header) = &option.header else {
        return Err(Refusal::invalid("`header` is required"));
    };
    protected(&header.key)?;
    let name = header_name("header.key", &header.key)?;
    if header.raw_value.is_some() {
        return Err(Refusal::inexpressible("`raw_value`"));
    }
    if option.keep_empty_value && header.value.is_empty() {
        return Err(Refusal::inexpressible("`keep_empty_value`"));
    }
    if option.append.is_some() && option.append_action.is_some() {
        return Err(Refusal::invalid(
            "both `append` and `append_action` are set",
        ));
    }
    Ok(HeaderOption {
        name,
        value: format(&header.value)?,
        action: append_action(option),
    })
}

/// A value with operators. Envoy's operators that are not known here are not expressible.
fn format(value: &str) -> Result<HeaderFormat, Refusal> {
    HeaderFormat::parse(value, &Constants::default()).map_err(|error| match error {
        ParseFormatError::Unsupported { .. } | ParseFormatError::NotGiven { .. } => {
            Refusal::Inexpressible(error.to_string())
        }
        _ => Refusal::Invalid(error.to_string()),
    })
}

fn append_action(option: &config::HeaderValueOption) -> AppendAction {
    match (option.append_action, option.append) {
        (Some(config::AppendAction::AddIfAbsent), _) => AppendAction::AddIfAbsent,
        (Some(config::AppendAction::OverwriteIfExists), _) => AppendAction::OverwriteIfExists,
        (Some(config::AppendAction::OverwriteIfExistsOrAdd), _) | (None, Some(false)) => {
            AppendAction::OverwriteIfExistsOrAdd
        }
        (Some(config::AppendAction::AppendIfExistsOrAdd), _) | (None, None | Some(true)) => {
            AppendAction::AppendIfExistsOrAdd
        }
    }
}

/// Envoy leaves the pseudo-header fields and `host` to its own settings.
fn protected(name: &str) -> Result<(), Refusal> {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        return Err(Refusal::Invalid(format!("`{name}` may not be modified")));
    }
    Ok(())
}

/// Refuses settings of filters: none that routing knows takes settings by route.
pub(super) fn filter_settings(settings: &config::FilterSettings) -> Result<(), Refusal> {
    for (filter, setting) in settings {
        filter_setting(filter, setting)?;
    }
    Ok(())
}

fn filter_setting(filter: &str, setting: &Value) -> Result<(), Refusal> {
    if setting.get("@type").and_then(Value::as_str) == Some(FILTER_CONFIG) {
        let is = |field| {
            setting
                .get(field)
                .and_then(Value::as_bool)
                .unwrap_or_default()
        };
        return match setting.get("config") {
            None if is("disabled") => Ok(()),
            None => Err(Refusal::Invalid(format!(
                "empty per filter configuration for `{filter}`"
            ))),
            Some(config) => match filter_setting(filter, config) {
                Err(Refusal::Invalid(_)) if is("is_optional") => Ok(()),
                result => result,
            },
        };
    }
    if filter.starts_with("envoy.filters.http.") {
        return Err(Refusal::inexpressible(format_args!(
            "settings of filter `{filter}`"
        )));
    }
    Err(Refusal::Invalid(format!("there is no filter `{filter}`")))
}
