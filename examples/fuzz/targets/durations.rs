//! Durations of Go and protobuf.

use mesh_core::duration::Duration;

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "durations",
    seeds: &[
        "1h2m3.5s",
        "-1.5h",
        "100ms",
        "0",
        "3us7ns",
        "315576000000s",
        "+.5m",
    ],
    dictionary: &["h", "ms", "µs", "μs", "ns", ".", "-", "9223372036854775807"],
    start: || {
        text(|text| {
            let Ok(duration) = text.parse::<Duration>() else {
                return;
            };
            let written = duration.to_string();
            let read = written.parse::<Duration>();
            assert_eq!(read, Ok(duration), "`{written}` does not read back");
        })
    },
};
