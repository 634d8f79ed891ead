//! Names of the versions of HTTP.

use http::Version;

/// What Envoy calls a version, in access logs, attributes, spans and questions alike.
pub(crate) fn name(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_called_as_in_envoy() {
        for (version, expected) in [
            (Version::HTTP_10, "HTTP/1.0"),
            (Version::HTTP_11, "HTTP/1.1"),
            (Version::HTTP_2, "HTTP/2"),
            (Version::HTTP_3, "HTTP/3"),
        ] {
            assert_eq!(name(version), expected);
        }
    }
}
