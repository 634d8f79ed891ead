//! The access log, as whoever runs the program finds it.

use std::env::current_exe;
use std::fs::{self, read_to_string};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::scene::{PATIENCE, Program, answering, body, eventually, get};

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
    let mut alone = Command::new(current_exe().unwrap())
        .args(["--exact", TO_STANDARD_OUTPUT])
        .args(["--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (line, lines) = mpsc::channel();
    let stdout = BufReader::new(alone.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().try_for_each(|read| line.send(read.unwrap())));
    let mut written: Vec<String> = Vec::new();
    while !written.iter().any(|line| is_logged(line)) {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => written.push(line),
            Err(_) => break,
        }
    }
    // It serves until then: who is told to end does not wait for lines to be written.
    drop(alone.stdin.take());
    written.extend(lines);
    assert!(alone.wait().unwrap().success(), "{written:?}");
    let logged = written.iter().filter(|line| is_logged(line));
    assert_eq!(logged.count(), 1, "{written:?}");
}

const TO_STANDARD_OUTPUT: &str = "tests::logs::a_program_that_logs_to_standard_output";

#[test]
#[ignore = "its output is looked at by the test above"]
fn a_program_that_logs_to_standard_output() {
    Program::start_with(&answering("open"), &["--access-log=-"]).serve(|address, _| {
        assert_eq!(body(&get(address, "/cart")), "open");
        wait_for_end_of_standard_input();
    });
}

fn is_logged(line: &str) -> bool {
    line.contains(LINE)
}

/// Waits until whoever started this process closes its standard input, or patience ends.
fn wait_for_end_of_standard_input() {
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(ended);
    });
    let _ = end.recv_timeout(PATIENCE);
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
