use std::time::SystemTime;

use super::code::Code;

/// The annotation by which a resource suppresses messages about it: codes, or `*`.
pub(super) const SUPPRESS: &str = "galley.istio.io/analyze-suppress";

/// How to analyze.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(super) only: Vec<String>,
    pub(super) namespace: Option<String>,
    pub(super) suppressions: Vec<Suppression>,
    pub(super) now: Option<SystemTime>,
}

impl Options {
    /// Runs these analyzers alone, by [name](super::Analyzer::name). Default those that
    /// [run by default](super::Analyzer::runs_by_default).
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only.extend(names.into_iter().map(Into::into));
        self
    }

    /// Keeps messages about resources of `namespace`, and of none, alone. All objects are looked at
    /// all the same. Default all namespaces.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Leaves messages out, besides those that resources suppress by the annotation
    /// `galley.istio.io/analyze-suppress`.
    #[must_use]
    pub fn suppress(mut self, suppression: Suppression) -> Self {
        self.suppressions.push(suppression);
        self
    }

    /// Whether messages about resources of `namespace` are kept. What belongs to no namespace, such
    /// as a webhook, concerns all.
    pub(super) fn is_about(&self, namespace: &str) -> bool {
        let chosen = self.namespace.as_deref();
        namespace.is_empty() || chosen.is_none_or(|chosen| chosen == namespace)
    }

    /// The time at which certificates have to be valid. Default: they are not asked.
    #[must_use]
    pub fn at(mut self, now: SystemTime) -> Self {
        self.now = Some(now);
        self
    }
}

/// Messages to leave out: a code, and the resources that it is not reported about.
///
/// Written as `-S` of `istioctl analyze` has it: `IST0102=Namespace shop`, where `*` stands for any
/// text.
///
/// ```
/// use mesh_core::analyze::Suppression;
///
/// let suppression: Suppression = "IST0102=Namespace frontend*".parse()?;
/// assert!("IST0102".parse::<Suppression>().is_err());
/// # Ok::<(), mesh_core::analyze::ParseSuppressionError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suppression {
    code: Code,
    resource: String,
}

impl Suppression {
    pub(super) fn covers(&self, code: Code, resource: &str) -> bool {
        code == self.code && matches(&self.resource, resource)
    }
}

impl std::str::FromStr for Suppression {
    type Err = ParseSuppressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseSuppressionError {
            text: text.to_owned(),
        };
        let (code, resource) = text.split_once('=').ok_or_else(refuse)?;
        let code = Code::find(code).ok_or_else(refuse)?;
        let resource = resource.to_owned();
        Ok(Self { code, resource })
    }
}

/// A text that is no [`Suppression`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not of the form CODE=Kind namespace/name, such as `IST0102=Namespace shop`")]
#[non_exhaustive]
pub struct ParseSuppressionError {
    /// The text.
    pub text: String,
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("Namespace shop", "Namespace shop", true),
            ("Namespace shop", "Namespace shops", false),
            ("*", "Namespace shop", true),
            ("Pod shop/*", "Pod shop/cart", true),
            ("Pod shop/*", "Pod bank/cart", false),
            ("Pod */cart", "Pod shop/cart", true),
            ("Pod */cart", "Pod shop/carton", false),
            ("*o*/c*t", "Pod shop/cart", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} and {text}");
        }
    }
}
