//! Normalization of request paths.

use mesh_core::path::{Normalization, merge_slashes, unescape_slashes};

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "paths",
    seeds: &[
        "/a/b/../c/./d?q=1",
        "/a//b/%2e%2e/%2F%5c/c",
        "/%41%7e%zz%",
        "/a\\b\\..\\c#f",
        "//../..//",
    ],
    dictionary: &[
        "/", "..", "/../", "%2e", "%2F", "%5C", "%00", "\\", "?", "#", ";",
    ],
    start: || {
        text(|text| {
            let path = format!("/{text}");
            merge_slashes(&path);
            unescape_slashes(&path);
            let Ok(normal) = Normalization::default().apply(&path) else {
                return;
            };
            let end = normal.find(['?', '#']).unwrap_or(normal.len());
            let normal = &normal[..end];
            assert!(normal.starts_with('/'), "`{normal}` has no root");
            let mut segments = normal.split('/');
            let is_dot = |segment: &str| matches!(segment, "." | "..");
            assert!(
                !segments.any(is_dot),
                "`{normal}` of `{path}` leads elsewhere"
            );
        })
    },
};
