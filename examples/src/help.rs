//! `--help` of the examples: what one shows, how it is run, and what is to be expected.
//!
//! # Example
//!
//! ```
//! use examples::help::NoArguments;
//!
//! let help = NoArguments {
//!     name: "match-routes",
//!     shows: "Match requests to routes.",
//!     expect: "It prints how many requests go where, and ends.",
//! };
//! assert!(help.try_parse_from(["match-routes"]).is_ok());
//!
//! let asked = help.try_parse_from(["match-routes", "--help"]).unwrap_err();
//! assert_eq!(asked.exit_code(), 0);
//! assert!(asked.to_string().contains("cargo run --example match-routes"));
//!
//! let mistaken = help.try_parse_from(["match-routes", "--hepl"]).unwrap_err();
//! assert_eq!(mistaken.exit_code(), 2);
//! ```

use std::ffi::OsString;

use clap::Command;

/// The command line of an example that takes no arguments.
#[derive(Clone, Copy, Debug)]
pub struct NoArguments {
    /// What it is run by: `cargo run --example NAME`.
    pub name: &'static str,
    /// What it shows, in a sentence or two.
    pub shows: &'static str,
    /// What whoever runs it is going to see.
    pub expect: &'static str,
}

impl NoArguments {
    /// Reads the arguments of the program. Ends it with 0 if they ask for help, which is printed, and
    /// with 2 if there are others.
    pub fn parse(self) {
        self.command().get_matches();
    }

    /// Reads `arguments`, the first of which is the name of the program.
    ///
    /// # Errors
    ///
    /// They ask for help, which the error has for its text; or there are others. Its
    /// [exit code](clap::Error::exit_code) tells which: 0 or 2.
    pub fn try_parse_from<T>(
        self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<(), clap::Error>
    where
        T: Into<OsString> + Clone,
    {
        self.command().try_get_matches_from(arguments).map(drop)
    }

    fn command(self) -> Command {
        let run = format!("cargo run --example {}", self.name);
        let help = after(&[&run], self.expect);
        Command::new(self.name).about(self.shows).after_help(help)
    }
}

/// What stands below the arguments in a help: `commands` as examples, and what to `expect` of them.
///
/// ```
/// let help = examples::help::after(&["cargo run --example demo"], "It serves until it is interrupted.");
/// let expected = "Run it:\n  cargo run --example demo\n\nIt serves until it is interrupted.";
/// assert_eq!(help, expected);
/// ```
pub fn after(commands: &[&str], expect: &str) -> String {
    let commands: String = commands
        .iter()
        .map(|command| format!("  {command}\n"))
        .collect();
    format!("Run it:\n{commands}\n{expect}")
}
