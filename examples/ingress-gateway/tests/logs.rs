//! The access log, as whoever runs the program finds it.

use std::env::current_exe;
use std::fs::{self, read_to_string};
use std::path::Path;
use std::process::{self, Command};

use super::scene::{Program, answering, body, eventually, get};

/// What is logged of a request for `/cart`, after its time.
const LINE: &str = "] \"GET /cart HTTP/1.1\" 200 - direct_response ";

#[test]
fn a_request_is_a_line_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let argument = format!("--access-log={}", file.display());
    Program::start_with(&answering("open"), &[&argument]).serve(move |address, _| {
        assert_eq!(body(&get(address, "/cart")), "open");
        let logged = whole_line(&file);
        assert!(logged.starts_with('[') && logged.contains(LINE), "{logged}");
        assert_eq!(logged.lines().count(), 1, "{logged}");
    });
}

#[test]
fn a_file_that_was_renamed_is_opened_again_when_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let renamed = directory.path().join("access.log.1");
    let argument = format!("--access-log={}", file.display());
    Program::start_with(&answering("open"), &[&argument]).serve(move |address, _| {
        get(address, "/first");
        assert!(whole_line(&file).contains("GET /first "));
        fs::rename(&file, &renamed).unwrap();
        tell_to_reopen();
        assert!(eventually(|| file.exists(), |exists| *exists));
        get(address, "/second");
        assert!(whole_line(&file).contains("GET /second "));
        let before = read_to_string(&renamed).unwrap();
        assert!(!before.contains("GET /second "), "{before}");
    });
}

#[test]
fn requests_are_served_while_no_line_can_be_written() {
    let full = ["--access-log=/dev/full"];
    Program::start_with(&answering("open"), &full).serve(|address, _| {
        for _ in 0..3 {
            assert_eq!(body(&get(address, "/cart")), "open");
        }
    });
}

#[test]
fn standard_output_has_a_line_for_each_request() {
    // Of this process it belongs to all tests.
    let alone = Command::new(current_exe().unwrap())
        .args([
            "--exact",
            "tests::logs::a_program_that_logs_to_standard_output",
        ])
        .args(["--ignored", "--nocapture"])
        .output()
        .unwrap();
    let written = String::from_utf8(alone.stdout).unwrap();
    assert!(alone.status.success(), "{written}");
    let lines = written.lines().filter(|line| line.contains(LINE));
    assert_eq!(lines.count(), 1, "{written}");
}

#[test]
#[ignore = "its output is looked at by the test above"]
fn a_program_that_logs_to_standard_output() {
    Program::start_with(&answering("open"), &["--access-log=-"]).serve(|address, _| {
        assert_eq!(body(&get(address, "/cart")), "open");
    });
}

/// The text of a file once there is some, up to the end of a line.
fn whole_line(file: &Path) -> String {
    let text = || read_to_string(file).unwrap_or_default();
    eventually(text, |text| text.ends_with('\n'))
}

fn tell_to_reopen() {
    let process = process::id().to_string();
    let told = Command::new("kill").args(["-USR1", &process]).status();
    assert!(told.unwrap().success());
}
