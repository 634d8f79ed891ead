use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000_000;

#[test]
fn parses_what_go_parses() {
    let cases = [
        ("0", 0),
        ("-0", 0),
        ("+5s", 5 * SECOND),
        ("-5s", -5 * SECOND),
        ("5.s", 5 * SECOND),
        (".5s", SECOND / 2),
        ("1.0000000000000000000000000000001s", SECOND),
        ("10ns", 10),
        ("11us", 11_000),
        ("12\u{b5}s", 12_000),
        ("12\u{3bc}s", 12_000),
        ("1h30m", 5_400 * SECOND),
        ("1.5h", 5_400 * SECOND),
        ("3m30.5s", 210 * SECOND + SECOND / 2),
        ("39h9m14.425s", 140_954_425_000_000),
        // The order and the number of the units are free.
        ("1s1h1s", 3_602 * SECOND),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("0.3333333333333333333h", 1_200 * SECOND),
        ("0.830103483285477580700h", 2_988_372_539_827),
    ];
    for (text, nanos) in cases {
        assert_eq!(text.parse(), Ok(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn refuses_what_go_refuses() {
    use ParseDurationError as E;
    let error = |text: &str| text.parse::<Duration>().unwrap_err();
    for text in ["", "-", "s", ".s", " 1s"] {
        assert!(matches!(error(text), E::MissingNumber { .. }), "{text}");
    }
    for text in ["3", "1s3", "00"] {
        assert!(matches!(error(text), E::MissingUnit { .. }), "{text}");
    }
    for text in ["1d", "1S", "1 s", "1.5.s"] {
        assert!(error(text).to_string().contains(text), "{text}");
    }
    for text in [
        "9223372036854775808ns",
        "3000000h",
        "9999999999999999999999s",
    ] {
        assert!(matches!(error(text), E::Overflow { .. }), "{text}");
    }
}

#[test]
fn displays_go_s_canonical_form() {
    let cases = [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (60 * SECOND, "1m0s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (-480_000_000_001, "-8m0.000000001s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ];
    for (nanos, text) in cases {
        assert_eq!(Duration::from_nanos(nanos).to_string(), text, "{nanos}");
    }
}

#[test]
fn the_protobuf_form_has_0_3_6_or_9_decimals() {
    let cases = [
        (0, "0s"),
        (-2 * SECOND, "-2s"),
        (SECOND + 500_000_000, "1.500s"),
        (SECOND + 5_000, "1.000005s"),
        (-1, "-0.000000001s"),
    ];
    for (nanos, text) in cases {
        let duration = Duration::from_nanos(nanos);
        assert_eq!(duration.to_protobuf_json(), text, "{nanos}");
    }
}

#[test]
fn a_timeout_is_a_whole_number_of_milliseconds() {
    let check = |text: &str| text.parse::<Duration>().unwrap().validate();
    for text in ["0s", "-1s", "999us"] {
        assert!(
            matches!(check(text), Err(DurationRangeError::TooShort { .. })),
            "{text}"
        );
    }
    for text in ["1.0001s", "1000001ns"] {
        assert!(
            matches!(check(text), Err(DurationRangeError::TooFine { .. })),
            "{text}"
        );
    }
    assert_eq!(check("1ms"), Ok(()));

    let (min, max) = (Duration::from_millis(1), Duration::from_secs(3_600));
    assert_eq!(max.validate_range(min, max), Ok(()));
    let duration = Duration::from_millis(3_600_001);
    assert!(duration.validate_range(min, max).is_err());
}

#[test]
fn only_a_negative_duration_cannot_be_waited_for() {
    assert_eq!(Duration::from_nanos(-1).as_std(), None);
    let two = std::time::Duration::from_secs(2);
    assert_eq!(Duration::from_secs(2).as_std(), Some(two));
}

#[test]
fn a_duration_is_a_string_in_json() {
    let duration: Duration = serde_json::from_str("\"1.5s\"").unwrap();
    assert_eq!(duration, Duration::from_millis(1_500));
    assert_eq!(serde_json::to_string(&duration).unwrap(), "\"1.5s\"");
    assert!(serde_json::from_str::<Duration>("1").is_err());
}

#[test]
fn gateway_durations_are_those_of_gep_2257() {
    let cases = [
        ("0h", "0s"),
        ("1h", "1h"),
        ("30m", "30m"),
        ("10s500ms", "10s500ms"),
        ("2h30m10s500ms", "2h30m10s500ms"),
        ("5400s", "1h30m"),
        ("1s1s", "2s"),
        ("99999h59m59s999ms", "99999h59m59s999ms"),
    ];
    for (text, canonical) in cases {
        let duration: GatewayDuration = text.parse().unwrap();
        assert_eq!(duration.to_string(), canonical, "{text}");
    }
    let refused = [
        "",
        "1",
        "1.5s",
        "-1s",
        "1d",
        "1us",
        "100000s",
        "1h1m1s1ms1h",
        "1 s",
        "s",
        "99999h60m",
    ];
    for text in refused {
        assert!(text.parse::<GatewayDuration>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn display_and_parse_are_inverse(nanos: i64) {
        let duration = Duration::from_nanos(nanos);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        let protobuf = duration.to_protobuf_json();
        // Go reads nine decimals exactly as long as the seconds are whole.
        prop_assert_eq!(protobuf.parse(), Ok(duration));
    }

    #[test]
    fn gateway_display_and_parse_are_inverse(text in "([0-9]{1,5}(h|m|s|ms)){1,4}") {
        if let Ok(duration) = text.parse::<GatewayDuration>() {
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }

    #[test]
    fn any_text_parses_or_is_refused(text in "[-+]?[0-9.hmsun]{0,24}") {
        if let Ok(duration) = text.parse::<Duration>() {
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
