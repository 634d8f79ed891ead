//! Conditions on query parameters.
//!
//! As in Envoy's router, the first parameter of the name counts, names and values are compared as
//! they were sent, without percent-decoding, and a parameter without `=` has the empty value.

use mesh_core::model::route::QueryParamMatch;

use crate::matches::Mismatch;

/// Whether `query` meets `rule`.
pub(crate) fn evaluate<'a>(
    rule: &'a QueryParamMatch,
    query: Option<&'a str>,
) -> Result<(), Mismatch<'a>> {
    let value = first_value(query.unwrap_or_default(), &rule.name);
    if value.is_some_and(|value| rule.value.is_match(value)) {
        return Ok(());
    }
    Err(Mismatch::QueryParam { rule, value })
}

fn first_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut pairs =
        parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    pairs.find_map(|(other, value)| (other == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_of_the_name_counts_as_it_was_sent() {
        let cases = [
            ("k=x", Some("x")),
            ("k", Some("")),
            ("k=", Some("")),
            ("a=1&k=x&k=y", Some("x")),
            ("k=x%20y", Some("x%20y")),
            ("k=x+y", Some("x+y")),
            ("k=a=b", Some("a=b")),
            ("%6b=x", None),
            ("K=x", None),
            ("kk=x", None),
            ("&&", None),
            ("", None),
        ];
        for (query, value) in cases {
            assert_eq!(first_value(query, "k"), value, "{query}");
        }
    }
}
