use std::net::TcpListener;
use std::process::ExitCode;

use examples::program::report::chain;

use super::scene::{Config, Program, answering, body, eventually, get};
use crate::{exit_code, run};

#[test]
fn a_file_that_is_wrong_is_not_started_with() {
    let config = Config::new(&answering("open").replace("http:", "htttp:"));
    let refused = run(&config.options()).unwrap_err();
    let text = refused.to_string();
    let file = config.file().display().to_string();
    for expected in [
        format!("{file}:15:3"),
        "unknown field `htttp`".to_owned(),
        "did you mean `http`?".to_owned(),
    ] {
        assert!(text.contains(&expected), "no `{expected}` in {text}");
    }
    // Codes of exit cannot be compared.
    let code = format!("{:?}", exit_code(Err(refused)));
    assert_eq!(code, format!("{:?}", ExitCode::FAILURE));
}

#[test]
fn a_port_for_questions_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new(&answering("open"));
    let mut options = config.options();
    options.admin = taken.local_addr().unwrap();
    let refused = run(&options).unwrap_err().to_string();
    let expected = format!("{}, of --admin, is not free", options.admin);
    assert!(refused.starts_with(&expected), "{refused}");
}

#[test]
fn the_last_good_file_is_served_until_the_next_one() {
    let mut program = Program::start(&answering("first"));
    let address = program.address;
    assert_eq!(body(&get(address, "/")), "first");

    let refused = program.change(&answering("second").replace("http:", "htttp:"));
    let refused = chain(&refused.unwrap_err());
    assert!(refused.contains("mesh.yaml:15:3"), "{refused}");
    assert!(refused.contains("did you mean `http`?"), "{refused}");
    assert!(refused.ends_with("generation 2 is refused"), "{refused}");
    assert_eq!(body(&get(address, "/")), "first");

    assert_eq!(program.change(&answering("third")).unwrap(), 3);
    assert_eq!(body(&get(address, "/")), "third");
    program.serve(|address, admin| {
        assert!(get(admin, "/config").contains("\"version\": 3,"));
        assert_eq!(body(&get(address, "/")), "third");
    });
}

#[test]
fn a_change_takes_effect_while_the_program_serves() {
    let program = Program::start(&answering("first"));
    let file = program.config.file();
    let next = file.with_extension("next");
    program.serve(move |address, _| {
        std::fs::write(&next, answering("second")).unwrap();
        std::fs::rename(&next, &file).unwrap();
        let served = eventually(|| get(address, "/"), |answer| answer.ends_with("second"));
        assert_eq!(body(&served), "second");
    });
}

#[test]
fn a_port_that_cannot_be_bound_is_told_and_leaves_the_others_served() {
    let mut program = Program::start(&answering("first"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let further = format!(
        "servers: [{{ port: {{ number: {port}, name: taken, protocol: HTTP }}, hosts: ['*'] }}, "
    );
    let further = answering("second").replace("servers: [", &further);
    assert_eq!(program.change(&further).unwrap(), 2);
    program.serve(move |address, admin| {
        assert_eq!(body(&get(address, "/")), "second");
        let config = get(admin, "/config");
        let notice = format!("listener `0.0.0.0_{port}` is not served: 127.0.0.1:{port}: ");
        assert!(config.contains(&notice), "{config}");
    });
}

#[test]
fn a_program_that_can_bind_none_of_its_ports_does_not_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = answering("first").replace("number: 80", &format!("number: {port}"));
    let refused = run(&Config::new(&config).options()).unwrap_err();
    let (refused, expected) = (
        chain(&*refused),
        format!("a listener cannot be bound: 127.0.0.1:{port}: "),
    );
    assert!(refused.starts_with(&expected), "{refused}");
}
