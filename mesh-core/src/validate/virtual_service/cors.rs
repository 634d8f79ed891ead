//! Cross-origin requests.

use crate::header;
use crate::resource::istio::string_match::StringMatch;
use crate::resource::istio::virtual_service::CorsPolicy;
use crate::validate::{At, duration, string_match};

/// Checks a CORS policy (`validateCORSPolicy`).
pub fn validate_cors_policy(policy: &CorsPolicy, at: At<'_>) {
    at.field("allowOrigins")
        .each(&policy.allow_origins, validate_origin);
    at.field("allowMethods")
        .each(&policy.allow_methods, |method, at| {
            at.check(header::validate_cors_method(method));
        });
    for (field, names) in [
        ("allowHeaders", &policy.allow_headers),
        ("exposeHeaders", &policy.expose_headers),
    ] {
        at.field(field)
            .each(names, |name, at| at.check(header::validate_cors_name(name)));
    }
    let max_age = at.field("maxAge");
    duration::validate_optional(policy.max_age, max_age);
    if let Some(age) = policy.max_age.filter(|age| !age.is_whole_seconds()) {
        max_age.error(format_args!("`{age}` is not a whole number of seconds"));
    }
}

fn validate_origin(origin: &StringMatch, at: At<'_>) {
    let values = [&origin.exact, &origin.prefix, &origin.regex];
    if values.into_iter().flatten().any(|value| !value.is_empty()) {
        string_match::validate_uri(origin, at);
    } else {
        at.error("an origin cannot be empty");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn origins_methods_headers_and_age_are_checked() {
        let cases = [
            (json!({}), 0),
            (
                json!({"allowOrigins": [{"exact": "https://a.com"}, {"regex": "a.*"}]}),
                0,
            ),
            (json!({"allowOrigins": [{}]}), 1),
            (json!({"allowOrigins": [{"prefix": ""}]}), 1),
            (json!({"allowOrigins": [{"regex": "*"}]}), 1),
            (json!({"allowMethods": ["GET", "*", "get", "PUTT"]}), 2),
            (
                json!({"allowHeaders": ["*", "x-a", "a b"], "exposeHeaders": [""]}),
                2,
            ),
            (json!({"maxAge": "2s"}), 0),
            (json!({"maxAge": "1500ms"}), 1),
        ];
        for (policy, errors) in cases {
            assert_errors(&policy.to_string(), errors, |at| {
                validate_cors_policy(&read(policy.clone()), at);
            });
        }
    }
}
