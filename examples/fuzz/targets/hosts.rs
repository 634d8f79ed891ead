//! Host names and patterns of them.

use std::slice::from_ref;

use mesh_core::host::{Host, HostPattern, ScopedHost, intersection, resolve_short_name};

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "hosts",
    seeds: &[
        "reviews.prod.svc.cluster.local",
        "*.example.com",
        "*",
        "ns/*.example",
        "./reviews",
        "~/*",
        "xn--bcher-kva.example\n*.example",
        "10.0.0.1",
    ],
    dictionary: &["*", "*.", ".", "/", "~", "-", "\n", "svc.cluster.local"],
    start: || {
        text(|text| {
            if let Ok(host) = text.parse::<Host>() {
                let read = host.to_string().parse::<Host>();
                assert_eq!(read.as_ref(), Ok(&host), "a host reads back");
            }
            let _ = text.parse::<ScopedHost>();
            let _ = resolve_short_name(text, "default", "cluster.local");
            let (left, right) = text.split_once('\n').unwrap_or((text, "*.example"));
            let (left, right) = (HostPattern::new(left), HostPattern::new(right));
            if left.is_subset_of(&right) {
                assert!(
                    left.matches(&right),
                    "`{left}` is in `{right}` and shares no host"
                );
            }
            for host in intersection(from_ref(&left), from_ref(&right)) {
                assert!(host.is_subset_of(&left), "`{host}` is outside of `{left}`");
                assert!(
                    host.is_subset_of(&right),
                    "`{host}` is outside of `{right}`"
                );
            }
        })
    },
};
