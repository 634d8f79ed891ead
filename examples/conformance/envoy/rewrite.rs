//! Changes to the path.

use mesh_core::matcher::RegexRewrite;
use mesh_core::model::route as model;
use serde_json::Value;

use super::config;
use super::matches::{self, extension_text};
use super::refusal::{Refusal, at_most_one_of, header_safe};

/// The change to the path. One by a template needs that of the match.
pub(super) fn path_rewrite(
    action: &config::RouteAction,
    template: Option<&Value>,
) -> Result<Option<model::PathRewrite>, Refusal> {
    let options = [
        ("prefix_rewrite", !action.prefix_rewrite.is_empty()),
        ("regex_rewrite", action.regex_rewrite.is_some()),
        ("path_rewrite_policy", action.path_rewrite_policy.is_some()),
        ("path_rewrite", !action.path_rewrite.is_empty()),
    ];
    let Some(set) = at_most_one_of("rewrite", &options)? else {
        return Ok(None);
    };
    if let Some(rewrite) = &action.regex_rewrite {
        return regex_rewrite(rewrite).map(Some);
    }
    if let Some(extension) = &action.path_rewrite_policy {
        return template_rewrite(extension, template).map(Some);
    }
    if set != "prefix_rewrite" {
        return Err(Refusal::inexpressible(format_args!("`{set}`")));
    }
    header_safe("prefix_rewrite", &action.prefix_rewrite)?;
    Ok(Some(model::PathRewrite::Prefix(
        action.prefix_rewrite.clone(),
    )))
}

fn template_rewrite(
    extension: &Value,
    template: Option<&Value>,
) -> Result<model::PathRewrite, Refusal> {
    const URL: &str = "type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.\
                       UriTemplateRewriteConfig";
    let path = extension_text(extension, URL, "path_template_rewrite")?;
    let Some(template) = template else {
        return Err(Refusal::invalid(
            "a template is rewritten where one is matched",
        ));
    };
    let rewrite = matches::template(template)?.rewrite(path);
    rewrite
        .map(model::PathRewrite::Template)
        .map_err(|error| Refusal::Invalid(error.to_string()))
}

/// What an expression makes of the path.
pub(super) fn regex_rewrite(rewrite: &config::RegexRewrite) -> Result<model::PathRewrite, Refusal> {
    regex_substitution(rewrite).map(model::PathRewrite::Regex)
}

/// An expression and what replaces it.
pub(super) fn regex_substitution(rewrite: &config::RegexRewrite) -> Result<RegexRewrite, Refusal> {
    let Some(pattern) = &rewrite.pattern else {
        return Err(Refusal::invalid("`regex_rewrite.pattern` is required"));
    };
    header_safe("substitution", &rewrite.substitution)?;
    RegexRewrite::parse(&pattern.regex, &rewrite.substitution)
        .map_err(|error| Refusal::Invalid(error.to_string()))
}
