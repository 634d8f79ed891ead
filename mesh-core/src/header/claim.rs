//! Claims of a verified token, written like the name of a header.

/// The path of a claim that a VirtualService matches as if it were a header.
///
/// `@request.auth.claims.a.b` and `@request.auth.claims[a][b]` are the claim `b` inside the claim
/// `a`; the second form is for names with a dot (`pkg/jwt/routing.go`). The fixed part may be in
/// any case.
///
/// ```
/// use mesh_core::header::RoutingClaim;
///
/// let claim = RoutingClaim::parse("@request.auth.claims[https://example.com/roles][admin]");
/// assert_eq!(claim.unwrap().path(), ["https://example.com/roles", "admin"]);
/// assert!(RoutingClaim::parse("x-roles").is_none());
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RoutingClaim {
    path: Vec<String>,
}

impl RoutingClaim {
    const PREFIX: &'static str = "@request.auth.claims";

    /// Parses the name, or gives `None` when it is that of an ordinary header.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (prefix, rest) = name.split_at_checked(Self::PREFIX.len())?;
        if !prefix.eq_ignore_ascii_case(Self::PREFIX) {
            return None;
        }
        let (path, separator) = match rest.strip_prefix('.') {
            Some(path) => (path, "."),
            None => (rest.strip_prefix('[')?.strip_suffix(']')?, "]["),
        };
        if path.is_empty() {
            return None;
        }
        let path = path.split(separator).map(str::to_owned).collect();
        Some(Self { path })
    }

    /// The names of the nested claims, outermost first; never empty.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_has_a_dot_or_brackets_and_a_name() {
        let cases: [(&str, &[&str]); 4] = [
            ("@request.auth.claims.a", &["a"]),
            ("@Request.Auth.Claims.A.b", &["A", "b"]),
            ("@request.auth.claims[a.b]", &["a.b"]),
            ("@request.auth.claims[a][b]", &["a", "b"]),
        ];
        for (name, path) in cases {
            assert_eq!(RoutingClaim::parse(name).unwrap().path(), path, "{name}");
        }
        let others = [
            "",
            "@request.auth.claims",
            "@request.auth.claims.",
            "@request.auth.claims[]",
            "@request.auth.claims[a",
            "@request.auth.claims]a",
            "@request.auth.claims-a",
            "request.auth.claims.a",
        ];
        for name in others {
            assert_eq!(RoutingClaim::parse(name), None, "{name}");
        }
    }
}
