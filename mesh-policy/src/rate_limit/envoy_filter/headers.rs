//! Envoy's `HeaderMatcher`, in its present shape and in those that it has deprecated, which Istio
//! documents.

use mesh_core::matcher::{Regex, StringMatch};

use super::config::required;
use super::fields::{Fields, Unsupported, unsupported};
use crate::rate_limit::descriptor::{Field, HeaderCondition};

/// Reads a condition on a header.
pub(super) fn condition(mut fields: Fields<'_>) -> Result<HeaderCondition, Unsupported> {
    let name = required(&mut fields, "name")?;
    let field = Field::parse(&name).ok_or_else(|| unsupported("name"))?;
    let mut invert = fields.flag("invert_match")?;
    let missing_as_empty = fields.flag("treat_missing_header_as_empty")?;
    let value = match value(&mut fields)? {
        Some(value) => value,
        // A header that must not be there is one that must be, negated. Without any condition it
        // must be.
        None => {
            invert ^= fields.optional_flag("present_match")? == Some(false);
            StringMatch::Present
        }
    };
    fields.finish()?;
    Ok(HeaderCondition {
        field,
        value,
        invert,
        missing_as_empty,
    })
}

/// The condition on the value, if there is one.
fn value(fields: &mut Fields<'_>) -> Result<Option<StringMatch>, Unsupported> {
    if let Some(text) = fields.map("string_match")? {
        return string_match(text).map(Some);
    }
    if let Some(range) = fields.map("range_match")? {
        return range_match(range).map(Some);
    }
    if let Some(regex) = fields.map("safe_regex_match")? {
        return safe_regex(regex).map(Some);
    }
    one_of(fields, |kind| format!("{kind}_match"))
}

fn string_match(mut fields: Fields<'_>) -> Result<StringMatch, Unsupported> {
    let ignore_case = fields.flag("ignore_case")?;
    let value = match fields.map("safe_regex")? {
        Some(regex) => safe_regex(regex)?,
        None => {
            let value = one_of(&mut fields, str::to_owned)?;
            value.ok_or_else(|| unsupported("string_match"))?
        }
    };
    fields.finish()?;
    Ok(match ignore_case {
        true => value.ignoring_case(),
        false => value,
    })
}

/// Makes a comparison with a text.
type Compare = fn(&str) -> StringMatch;

/// The comparison with a text, by the field that `name` says a kind of comparison has.
fn one_of(
    fields: &mut Fields<'_>,
    name: impl Fn(&str) -> String,
) -> Result<Option<StringMatch>, Unsupported> {
    let kinds: [(&str, Compare); 4] = [
        ("exact", |text| StringMatch::exact(text)),
        ("prefix", |text| StringMatch::prefix(text)),
        ("suffix", |text| StringMatch::suffix(text)),
        ("contains", |text| StringMatch::contains(text)),
    ];
    for (kind, compare) in kinds {
        if let Some(text) = fields.text(&name(kind))? {
            return Ok(Some(compare(text)));
        }
    }
    Ok(None)
}

fn safe_regex(mut fields: Fields<'_>) -> Result<StringMatch, Unsupported> {
    // Which engine it is for; there has never been another.
    if let Some(mut engine) = fields.map("google_re2")? {
        // A limit that Envoy enforces no more.
        engine.ignore("max_program_size");
        engine.finish()?;
    }
    let regex = required(&mut fields, "regex")?;
    fields.finish()?;
    let regex = Regex::parse(&regex).map_err(|_| unsupported("regex"))?;
    Ok(StringMatch::Regex(regex))
}

fn range_match(mut fields: Fields<'_>) -> Result<StringMatch, Unsupported> {
    let start = fields.integer("start")?.unwrap_or(0);
    let end = fields.integer("end")?.unwrap_or(0);
    fields.finish()?;
    Ok(StringMatch::IntegerRange { start, end })
}
